//! Our own vectors, which pin the container byte by byte: `tests/fixtures/seal/vectors.json`. Whoever reads the format in
//! another language can check against them.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::security::text::{from_hex, hex};

const FILE: &str = include_str!("../../../tests/fixtures/seal/vectors.json");

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    key: String,
    key_id: KeyId,
    tenant: TenantId,
    object: String,
    salt: String,
    /// The plain bytes are 0, 1, … 250, 0, 1, … to this length.
    plain_bytes: usize,
    /// Of all sealed bytes, where they are many.
    sealed_sha256: String,
    preamble: String,
    /// All sealed bytes, where they are few.
    sealed: Option<String>,
}

fn plain(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn the_container_is_what_the_file_of_vectors_says() {
    let Vectors { vectors } = serde_json::from_str(FILE).unwrap();
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let key = DataKey::from_bytes(&from_hex(&vector.key).unwrap());
        let context = SealContext { tenant: &vector.tenant, object: &vector.object };
        let salt = Salt::from_bytes(from_hex(&vector.salt).unwrap());
        let (mut sealer, preamble) = Sealer::begin(&key, vector.key_id, &context, salt);
        let mut sealed = preamble.bytes().to_vec();
        sealer.write(&plain(vector.plain_bytes), &mut sealed).unwrap();
        sealer.finish(&mut sealed).unwrap();
        let name = &vector.name;
        assert_eq!(hex(&preamble.bytes()), vector.preamble, "{name}");
        assert_eq!(hex(&Sha256::digest(&sealed)), vector.sealed_sha256, "{name}");
        if let Some(bytes) = vector.sealed {
            assert_eq!(hex(&sealed), bytes, "{name}");
        }
        assert!(open(&key, &context, &sealed).unwrap() == plain(vector.plain_bytes), "{name}");
    }
}
