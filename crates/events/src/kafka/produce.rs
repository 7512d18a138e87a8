//! Sends one record.

use super::{
    connection::{Connection, DEADLINE, KafkaError, checked},
    requests::{Leaders, PRODUCE, partitions, topic},
    wire::{NotKafka, Reader, Writer},
};

/// Milliseconds that the leader waits for its replicas.
const WAIT: i32 = 15_000;
/// The number that FNV-1a starts with, and the one that it multiplies by.
const FNV: (u32, u32) = (2_166_136_261, 16_777_619);

/// The partition for a key, as the original chooses it; any for a record without key, by `chance` in 0..1.
pub(crate) fn partition_of(leaders: &Leaders, key: Option<&[u8]>, chance: f64) -> Option<i32> {
    let count = u32::try_from(leaders.len())
        .ok()
        .filter(|count| *count > 0)?;
    let at = match key {
        Some(key) => {
            let hash = key.iter().fold(FNV.0, |hash, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(FNV.1)
            });
            hash.cast_signed()
                .wrapping_rem(count.cast_signed())
                .unsigned_abs()
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below count"
        )]
        None => (chance * f64::from(count)) as u32,
    };
    leaders.keys().nth(at.min(count - 1) as usize).copied()
}

/// Sends a batch to the leader of a partition; `acks` is -1 for all replicas.
pub(crate) async fn produce(
    leader: &mut Connection,
    (name, partition): (&str, i32),
    batch: &[u8],
    acks: i16,
) -> Result<i64, KafkaError> {
    let no_transaction = -1;
    let writer = Writer::default().i16(no_transaction).i16(acks).i32(WAIT);
    let body = topic(writer, name, &[partition], |writer, partition| {
        writer.i32(*partition).bytes(batch)
    });
    let answer = leader.call_within(PRODUCE, body, 2 * DEADLINE).await?;
    let stored = partitions(&mut Reader::new(&answer), |reader| {
        let (_partition, code) = (reader.i32()?, reader.i16()?);
        let (offset, _time) = (reader.i64()?, reader.i64()?);
        Ok((code, offset))
    })?;
    let (code, offset) = stored.first().copied().ok_or(NotKafka)?;
    checked("record", code)?;
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_with_its_partition() {
        let leaders = Leaders::from([(0, 1), (1, 1), (2, 1)]);
        // FNV-1a of "a" is 0xE40C292C, which is negative: -468965076 % 3 = 0.
        assert_eq!(partition_of(&leaders, Some(b"a"), 0.0), Some(0));
        assert_eq!(partition_of(&leaders, None, 0.99), Some(2));
        assert_eq!(partition_of(&leaders, None, 1.0), Some(2));
        assert_eq!(partition_of(&Leaders::new(), None, 0.0), None);
    }
}
