"""The spans that Anthropic's own SDK makes, under the scope `com.anthropic.sdk.python`.

Source: the SDK's module `anthropic._tracing`. It follows the GenAI conventions, with a few names of its own.
"""

from runbundle.signals import semconv
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.dialects.genai import as_list
from runbundle.signals.kinds import keys_of

_STOPPED = "anthropic.message.stop_reason"


def _work(reading: Reading) -> str:
    return reading.text(semconv.OPERATION)


ANTHROPIC = Dialect(
    name="",
    signs=frozenset({_STOPPED}),
    kinds={
        **keys_of(
            "name",
            "anthropic.request.service_tier anthropic.response.service_tier anthropic.thinking.type anthropic.beta",
        ),
        **keys_of(
            "id",
            "anthropic.request.id anthropic.organization.id anthropic.workspace.id anthropic.session.thread.id",
            "anthropic.session.environment.id",
        ),
        **keys_of(
            "number",
            "anthropic.thinking.budget_tokens anthropic.message.count_tokens.input_tokens",
            "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        ),
    },
    work=_work,
    rows=(Row(semconv.FINISH_REASONS, (_STOPPED,), as_list),),
)
