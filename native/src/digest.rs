//! Digests: of bytes, and keyed ones as `redaction/markers.py` makes them: HMAC-SHA-256 over a domain and a value.

use ring::digest::{SHA256, digest};
use ring::hmac::{Context, HMAC_SHA256, Key};

/// Returns the SHA-256 of bytes.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, data).as_ref());
    sum
}

pub struct Digester {
    key: Key,
    prefix: String,
}

impl Digester {
    pub fn new(key: &[u8], key_id: &str) -> Self {
        Digester { key: Key::new(HMAC_SHA256, key), prefix: format!("h2:{key_id}:") }
    }

    /// Returns the digest of `data` within `domain`.
    pub fn text(&self, domain: &str, data: &[u8]) -> String {
        let mut mac = Context::with_key(&self.key);
        mac.update(format!("{}:{domain}:", domain.len()).as_bytes());
        mac.update(data);
        let mac = mac.sign();
        let number = mac.as_ref()[..16].iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let mut text = String::with_capacity(self.prefix.len() + 26);
        text.push_str(&self.prefix);
        for place in 0..26 {
            let bits = if place < 25 { number >> (123 - 5 * place) } else { number << 2 };
            text.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(bits & 31) as usize]));
        }
        text
    }
}
