//! The container against those who change, cut, move and mix what is sealed.

use super::*;
use crate::domain::SeededRandom;

const SEALED: usize = SEGMENT_BYTES + TAG_BYTES;

struct Vault {
    tenant: TenantId,
    key: DataKey,
    id: KeyId,
}

impl Vault {
    fn new(tenant: &str, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        Self { tenant: tenant.parse().unwrap(), key: DataKey::random(&random), id: KeyId::random(&random) }
    }

    fn context<'a>(&'a self, object: &'a str) -> SealContext<'a> {
        SealContext { tenant: &self.tenant, object }
    }

    fn seal(&self, object: &str, plain: &[u8], seed: u64) -> Vec<u8> {
        seal(&self.key, self.id, &self.context(object), plain, &SeededRandom::new(seed)).unwrap()
    }

    fn open(&self, object: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(&self.key, &self.context(object), sealed)
    }

    /// What comes out before it fails, and how it fails.
    fn read(&self, object: &str, sealed: &[u8], step: usize) -> (Vec<u8>, Result<(), SealError>) {
        let mut plain = Vec::new();
        let mut read = || {
            let (preamble, segments) = Preamble::split(sealed)?;
            let mut opener = Opener::begin(&self.key, &self.context(object), &preamble)?;
            for piece in segments.chunks(step) {
                opener.write(piece, &mut plain)?;
            }
            opener.finish(&mut plain)
        };
        let outcome = read();
        (plain, outcome)
    }
}

fn text(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(7).fill(&mut bytes);
    bytes
}

/// Two whole segments and a short one.
const LARGE: usize = 2 * SEGMENT_BYTES + 1_000;

fn is_refused(plain: &[u8], (out, outcome): (Vec<u8>, Result<(), SealError>), sound: usize, what: &str) {
    assert!(outcome.is_err(), "{what} is not refused");
    assert!(out.len() <= sound && plain.starts_with(&out), "{what}: {} bytes came out of {sound}", out.len());
}

#[test]
fn what_is_sealed_comes_back_whatever_its_length_and_the_pieces() {
    let vault = Vault::new("acme", 1);
    for length in [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES, LARGE] {
        let plain = text(length);
        let whole = vault.seal("a", &plain, 1);
        assert_eq!(whole.len() as u64, sealed_bytes(length as u64));
        for step in [1, 777, SEGMENT_BYTES, SEALED, usize::MAX] {
            if step == 1 && length > SEGMENT_BYTES {
                continue;
            }
            let (mut sealer, preamble) = Sealer::begin(
                &vault.key,
                vault.id,
                &vault.context("a"),
                Preamble::split(&whole).unwrap().0.salt,
            );
            let mut pieces = preamble.bytes().to_vec();
            plain.chunks(step).for_each(|piece| sealer.write(piece, &mut pieces).unwrap());
            sealer.finish(&mut pieces).unwrap();
            assert!(pieces == whole, "length {length}, step {step}");
            assert_eq!(vault.read("a", &whole, step), (plain.clone(), Ok(())));
        }
    }
}

#[test]
fn sealing_goes_on_from_a_segment_and_any_segment_opens_alone() {
    let vault = Vault::new("acme", 1);
    let plain = text(LARGE);
    let whole = vault.seal("a", &plain, 1);
    let (preamble, _) = Preamble::split(&whole).unwrap();
    for segment in 0..3_usize {
        let number = segment as u64;
        let start = usize::try_from(sealed_offset(number)).unwrap();
        let mut sealer =
            Sealer::resume(&vault.key, vault.id, &vault.context("a"), preamble.salt.clone(), number);
        let mut rest = Vec::new();
        sealer.write(&plain[segment * SEGMENT_BYTES..], &mut rest).unwrap();
        sealer.finish(&mut rest).unwrap();
        assert!(rest == whole[start..], "segment {segment}");

        let mut out = Vec::new();
        let mut opener = Opener::at(&vault.key, &vault.context("a"), &preamble, number).unwrap();
        opener.write(&whole[start..(start + SEALED).min(whole.len())], &mut out).unwrap();
        if segment == 2 {
            opener.finish(&mut out).unwrap();
        }
        assert!(out == plain[segment * SEGMENT_BYTES..(segment * SEGMENT_BYTES + out.len())]);
        assert_eq!(out.len(), if segment == 2 { 1_000 } else { SEGMENT_BYTES });
    }
    // Bytes of one segment are no other one's.
    let mut opener = Opener::at(&vault.key, &vault.context("a"), &preamble, 1).unwrap();
    let mut out = Vec::new();
    let first = &whole[PREAMBLE_BYTES..PREAMBLE_BYTES + SEALED];
    assert_eq!(opener.write(first, &mut out), Err(SealError::Tampered { segment: 1 }));
    assert!(out.is_empty());
}

#[test]
fn a_change_of_any_bit_of_a_small_object_is_refused() {
    let vault = Vault::new("acme", 1);
    let plain = b"Call me Ishmael.";
    let whole = vault.seal("a", plain, 1);
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            is_refused(plain, vault.read("a", &changed, usize::MAX), 0, &format!("byte {place}, bit {bit}"));
        }
    }
}

#[test]
fn a_changed_byte_of_a_large_object_lets_only_the_segments_before_it_out() {
    let vault = Vault::new("acme", 1);
    let plain = text(LARGE);
    let whole = vault.seal("a", &plain, 1);
    for place in (0..whole.len()).step_by(509) {
        let mut changed = whole.clone();
        changed[place] ^= 0x40;
        let sound = place.saturating_sub(PREAMBLE_BYTES) / SEALED * SEGMENT_BYTES;
        for step in [1_000, usize::MAX] {
            is_refused(&plain, vault.read("a", &changed, step), sound, &format!("byte {place}"));
        }
    }
}

#[test]
fn a_cut_at_any_length_and_a_longer_end_are_refused() {
    let vault = Vault::new("acme", 1);
    let (small, large) = (b"Call me Ishmael.".to_vec(), text(LARGE));
    for (plain, step) in [(&small, 1), (&large, 97)] {
        let whole = vault.seal("a", plain, 1);
        let ends =
            (0..whole.len()).step_by(step).chain((1..4).map(|segment| PREAMBLE_BYTES + segment * SEALED));
        for end in ends.filter(|end| *end < whole.len()) {
            let sound = end.saturating_sub(PREAMBLE_BYTES) / SEALED * SEGMENT_BYTES;
            is_refused(plain, vault.read("a", &whole[..end], usize::MAX), sound, &format!("cut at {end}"));
        }
        for more in [&[0][..], &[0; TAG_BYTES], &whole[PREAMBLE_BYTES..], &[0; SEALED]] {
            let longer = [&whole[..], more].concat();
            let sound = plain.len() / SEGMENT_BYTES * SEGMENT_BYTES;
            is_refused(plain, vault.read("a", &longer, usize::MAX), sound, "a longer one");
        }
    }
    let whole = vault.seal("a", &text(SEGMENT_BYTES), 1);
    let cut = &whole[..PREAMBLE_BYTES + SEALED];
    assert_eq!(vault.open("a", cut), Err(SealError::Cut { segment: 1 }), "only the empty end is missing");
}

#[test]
fn segments_can_not_be_swapped_within_an_object_or_between_objects() {
    let vault = Vault::new("acme", 1);
    let plain = text(LARGE);
    let whole = vault.seal("a", &plain, 1);
    let segment = |sealed: &[u8], number: usize| {
        let start = PREAMBLE_BYTES + number * SEALED;
        sealed[start..(start + SEALED).min(sealed.len())].to_vec()
    };
    let of = |sealed: &[u8], numbers: [usize; 3]| {
        let mut mixed = sealed[..PREAMBLE_BYTES].to_vec();
        numbers.into_iter().for_each(|number| mixed.extend(segment(&whole, number)));
        mixed
    };
    assert!(of(&whole, [0, 1, 2]) == whole);
    for order in [[1, 0, 2], [0, 0, 2], [0, 2, 1], [2, 1, 0]] {
        is_refused(
            &plain,
            vault.read("a", &of(&whole, order), usize::MAX),
            SEGMENT_BYTES,
            &format!("{order:?}"),
        );
    }
    // The same plain bytes, sealed as another object, another version of the object, for another tenant, with another key.
    let others = [
        vault.seal("b", &plain, 2),
        vault.seal("a", &plain, 3),
        Vault { tenant: "zeta".parse().unwrap(), ..Vault::new("acme", 1) }.seal("a", &plain, 4),
        Vault::new("acme", 2).seal("a", &plain, 5),
    ];
    for (place, other) in others.iter().enumerate() {
        for number in 0..3 {
            let mut spliced = whole.clone();
            let start = PREAMBLE_BYTES + number * SEALED;
            let end = (start + SEALED).min(whole.len());
            spliced[start..end].copy_from_slice(&segment(other, number));
            let what = format!("segment {number} of other {place}");
            is_refused(&plain, vault.read("a", &spliced, usize::MAX), number * SEGMENT_BYTES, &what);
        }
        // Its preamble before our segments.
        is_refused(&plain, vault.read("a", &of(other, [0, 1, 2]), usize::MAX), 0, "a foreign preamble");
    }
}

#[test]
fn an_object_opens_as_nothing_else() {
    let vault = Vault::new("acme", 1);
    let whole = vault.seal("ab", b"plain", 1);
    assert_eq!(vault.open("ab", &whole), Ok(b"plain".to_vec()));
    for other in ["a", "abc", "", "job/ab"] {
        assert_eq!(vault.open(other, &whole), Err(SealError::Foreign), "{other}");
    }
    // Where the tenant's name ends and the object's begins is part of the context.
    let shifted = Vault { tenant: "acmea".parse().unwrap(), ..Vault::new("acme", 1) };
    assert_eq!(shifted.open("b", &whole), Err(SealError::Foreign));
    let key = Vault { key: DataKey::from_bytes(&[9; 32]), ..Vault::new("acme", 1) };
    assert_eq!(key.open("ab", &whole), Err(SealError::Foreign));
}

#[test]
fn what_is_not_sealed_or_sealed_by_a_later_presswork_is_told_apart() {
    let vault = Vault::new("acme", 1);
    let whole = vault.seal("a", b"plain", 1);
    assert_eq!(vault.open("a", b"{}"), Err(SealError::NotSealed));
    assert_eq!(vault.open("a", &[b'{'; 200]), Err(SealError::NotSealed));
    assert_eq!(vault.open("a", &whole[..PREAMBLE_BYTES - 1]), Err(SealError::NotSealed));
    let mut later = whole.clone();
    (later[4], later[5]) = (2, 7);
    assert_eq!(vault.open("a", &later), Err(SealError::Newer { version: 2, algorithm: 7 }));
    for place in [6, 7, 24, 31] {
        let mut unknown = whole.clone();
        unknown[place] ^= 1;
        assert!(matches!(vault.open("a", &unknown), Err(SealError::Newer { .. })), "{place}");
    }
}

#[test]
fn keys_are_not_printed_and_ids_survive_their_text() {
    let vault = Vault::new("acme", 1);
    let (sealer, preamble) =
        Sealer::begin(&vault.key, vault.id, &vault.context("a"), Salt::from_bytes([1; 24]));
    let shown = format!("{:?} {sealer:?}", vault.key);
    assert_eq!(shown, "DataKey(…) Sealer(Encrypter { secrets: Secrets(…), segment: 0, rest: 0 bytes })");
    assert_eq!(vault.id.to_string().parse(), Ok(vault.id));
    assert_eq!(serde_json::from_str::<KeyId>(&serde_json::to_string(&vault.id).unwrap()).unwrap(), vault.id);
    for text in ["", "0", &"g".repeat(32), &"0".repeat(33), &"é".repeat(16)] {
        assert!(text.parse::<KeyId>().is_err(), "{text}");
    }
    assert_eq!(Preamble::parse(&preamble.bytes()), Ok(preamble));
}
