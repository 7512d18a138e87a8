//! Which shard an object belongs to.

use ring::digest::{SHA256, digest};

use crate::object::ObjectKey;

/// The shard of an object, below `count`; 0 when there is one shard or none.
///
/// Rendezvous hashing: the same on every machine and in every version of the program, and when the number of shards
/// grows from n to m, only a share of 1 - n/m of the objects moves. It depends on nothing but the arguments, so that
/// two processes never disagree; that no process gets too much is the matter of [`moves`](super::moves).
pub fn shard_of(key: &ObjectKey, count: u32) -> u32 {
    let hash = digest(&SHA256, key.to_string().as_bytes());
    let (first, _) = hash
        .as_ref()
        .split_first_chunk::<8>()
        .expect("a SHA-256 has 32 bytes");
    let seed = u64::from_be_bytes(*first);
    (0..count)
        .max_by_key(|shard| mixed(seed ^ mixed(u64::from(*shard) + 1)))
        .unwrap_or(0)
}

/// How many of the objects each of `count` shards has.
pub fn weights_of(keys: impl IntoIterator<Item = ObjectKey>, count: u32) -> Vec<u64> {
    let mut weights = vec![0; usize::try_from(count).unwrap_or_default()];
    for key in keys {
        let shard = usize::try_from(shard_of(&key, count)).unwrap_or_default();
        if let Some(weight) = weights.get_mut(shard) {
            *weight += 1;
        }
    }
    weights
}

/// The finalizer of `SplitMix64`: every bit of the input changes half of the output.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = ObjectKey> {
        (0..10_000).map(|n| ObjectKey::new(format!("team-{}", n % 37), format!("sensor-{n}")))
    }

    #[test]
    fn the_shard_of_an_object_never_changes() {
        // A new version that maps otherwise would act beside an old one for as long as both run.
        let shard = |name: &str, count| shard_of(&ObjectKey::new("shop", name), count);
        let of_16: Vec<u32> = ["orders", "payments", "mail", "stock"]
            .map(|name| shard(name, 16))
            .to_vec();
        assert_eq!(of_16, FIXED);
        assert_eq!((shard("orders", 1), shard("orders", 0)), (0, 0));
    }

    /// Computed once with the first version.
    const FIXED: [u32; 4] = [13, 10, 5, 10];

    #[test]
    fn shards_get_about_the_same_number_of_objects() {
        for count in [2_u32, 16, 64] {
            let mut sizes = vec![0_u32; usize::try_from(count).expect("small")];
            for key in keys() {
                sizes[usize::try_from(shard_of(&key, count)).expect("small")] += 1;
            }
            let mean = 10_000 / count;
            for size in sizes {
                assert!(size > mean / 2 && size < mean * 3 / 2, "{size} of {mean}");
            }
        }
    }

    #[test]
    fn more_shards_take_objects_and_exchange_none() {
        let mut moved = 0;
        for key in keys() {
            let (before, after) = (shard_of(&key, 8), shard_of(&key, 12));
            assert!(after == before || after >= 8, "{key}: {before} to {after}");
            moved += u32::from(after != before);
        }
        assert!((2_800..3_900).contains(&moved), "{moved} of 10000 moved");
    }
}
