"""Vector stores, as the instrumentations of OpenLLMetry write them down: a search is a retrieval.

Source: the instrumentations of Pinecone, Chroma, Weaviate, Qdrant, Milvus, LanceDB and Marqo in version 0.62 of
https://github.com/traceloop/openllmetry. Documents found are events; Weaviate, Qdrant and LanceDB write none.
"""

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.documents import MOST, add_document
from runbundle.signals.dialects.forms.table import Dialect, Reading, Row
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import RETRIEVAL
from runbundle.signals.reading import number_of

_FOUND = {"db.query.result": "db.query.result.", "db.search.result": "db.search.result."}
"""Events with a document that was found, and the beginnings of their keys."""


def _work(reading: Reading) -> str:
    reading.put(semconv.OPERATION, RETRIEVAL)
    return RETRIEVAL


def _finish(reading: Reading) -> None:
    found = [(event["attributes"], head) for event in reading.events if (head := _FOUND.get(event["name"]))]
    for rank, (said, head) in enumerate(found[:MOST], 1):
        score = number_of(said, f"{head}score")
        document = {
            "id": said.get(f"{head}id", said.get("_id", said.get("id"))),
            "content": said.get(f"{head}document", said.get(f"{head}entity")),
            "score": score if score is not None else number_of(said, "_score"),
        }
        add_document(reading, document, rank)


VECTORSTORES = Dialect(
    name="openllmetry",
    signs=frozenset(
        {
            "db.vector.query.top_k",
            "db.vector.query.embeddings_count",
            "db.vector.query.result_count",
            "pinecone.query.top_k",
            "pinecone.query.id",
            "db.chroma.query.n_results",
            "db.chroma.query.texts_count",
            "db.chroma.query.embeddings_count",
            "db.milvus.search.collection_name",
            "db.milvus.query.collection_name",
            "qdrant.search.collection_name",
            "qdrant.query.collection_name",
            "qdrant.search_batch.collection_name",
            "db.milvus.search.filter",
            "db.marqo.search.query",
            "db.weaviate.collections.query.fetch_objects.limit",
            "db.weaviate.collections.query.fetch_object_by_id.uuid",
            "db.weaviate.query.get.class_name",
            "db.weaviate.query.raw.gql_query",
            "db.weaviate.client.graphql_raw_query.gql_query",
        }
    ),
    kinds={
        **keys_of(
            "name",
            "pinecone.query.namespace db.milvus.search.collection_name db.milvus.query.collection_name",
            "qdrant.search.collection_name qdrant.search_batch.collection_name qdrant.query.collection_name",
            "qdrant.upsert.collection_name qdrant.upload_collection.collection_name",
        ),
        **keys_of("id", "pinecone.query.id db.query.result.id db.search.result.id db.search.query.id"),
        **keys_of(
            "number",
            "db.vector.query.top_k db.vector.query.embeddings_count db.vector.query.result_count",
            "db.vector.query.top_score pinecone.query.top_k pinecone.query.result_count",
            "pinecone.query.embeddings_count",
            "pinecone.query.include_values pinecone.query.include_metadata pinecone.usage.read_units",
            "pinecone.usage.write_units db.chroma.query.n_results db.chroma.query.texts_count",
            "db.chroma.query.embeddings_count db.milvus.search.limit db.milvus.search.data_count",
            "db.milvus.search.output_fields_count db.milvus.search.partition_names_count db.milvus.search.timeout",
            "db.milvus.search.embeddings_count db.milvus.search.result_count db.milvus.query.limit qdrant.search.limit",
            "qdrant.search_batch.requests_count db.query.result.score db.query.result.distance",
            "db.search.result.score db.search.result.distance db.marqo.search.processing_time",
        ),
        **keys_of(
            "content",
            "pinecone.query.filter pinecone.query.queries db.chroma.query.where db.chroma.query.where_document",
            "db.chroma.query.include db.milvus.search.filter db.milvus.query.filter db.milvus.search.search_params",
            "db.milvus.search.anns_field db.milvus.search.query_vector_dimension db.query.embeddings.vector",
            "db.search.embeddings.vector db.query.result.metadata db.query.result.document db.query.result.vector",
            "db.search.result.entity db.vector",
        ),
    },
    work=_work,
    rows=(
        Row(own.RETRIEVER_NAME, ("db.system.name", "db.system"), keep=True),
        Row(
            semconv.QUERY_TEXT,
            (
                "db.marqo.search.query",
                "db.weaviate.query.raw.gql_query",
                "db.weaviate.client.graphql_raw_query.gql_query",
            ),
        ),
        Row(
            semconv.DATA_SOURCE,
            (
                "db.milvus.search.collection_name",
                "db.milvus.query.collection_name",
                "qdrant.search.collection_name",
                "qdrant.query.collection_name",
                "qdrant.search_batch.collection_name",
                "pinecone.query.namespace",
                "db.weaviate.query.get.class_name",
            ),
        ),
        Row(
            "gen_ai.retrieval.top_k",
            (
                "db.vector.query.top_k",
                "pinecone.query.top_k",
                "db.chroma.query.n_results",
                "db.milvus.search.limit",
                "db.milvus.query.limit",
                "qdrant.search.limit",
            ),
        ),
    ),
    finish=_finish,
    gathered={f"{head}.": "db.vector" for head in ("db.weaviate", "db.milvus", "db.chroma", "pinecone", "qdrant")},
)
