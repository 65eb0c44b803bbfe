//! Keyed digests, as `redaction/markers.py` makes them: HMAC-SHA-256 over a domain and a value.

use sha2::{Digest, Sha256};

const BLOCK: usize = 64;

pub struct Digester {
    inner: Sha256,
    outer: Sha256,
    prefix: String,
}

impl Digester {
    pub fn new(key: &[u8], key_id: &str) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let begun = |pad: u8| Sha256::new().chain_update(block.map(|byte| byte ^ pad));
        Digester { inner: begun(0x36), outer: begun(0x5C), prefix: format!("h2:{key_id}:") }
    }

    /// Returns the digest of `data` within `domain`.
    pub fn text(&self, domain: &str, data: &[u8]) -> String {
        let head = format!("{}:{domain}:", domain.len());
        let inner = self.inner.clone().chain_update(head).chain_update(data).finalize();
        let mac = self.outer.clone().chain_update(inner).finalize();
        let number = mac[..16].iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let mut text = String::with_capacity(self.prefix.len() + 26);
        text.push_str(&self.prefix);
        for place in 0..26 {
            let bits = if place < 25 { number >> (123 - 5 * place) } else { number << 2 };
            text.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(bits & 31) as usize]));
        }
        text
    }
}
