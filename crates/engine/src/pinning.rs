//! Where shards run: anywhere, or each on a processor of its own (`--pin`).

use crate::sys;

/// The processor of each shard, by number; `None`: wherever the system puts it. The error is a sentence.
pub fn places(pin: bool, shards: usize) -> Result<Vec<Option<usize>>, String> {
    if !pin {
        return Ok(vec![None; shards]);
    }
    let allowed = sys::processors().map_err(|error| {
        format!("the processors of this machine cannot be listed: {error}; switch media.pin off")
    })?;
    spread(&allowed, shards)
}

/// The last ones of those allowed: the first often serves the machine's interrupts, and signalling needs one too.
fn spread(allowed: &[usize], shards: usize) -> Result<Vec<Option<usize>>, String> {
    let spare = allowed.len().checked_sub(shards).ok_or_else(|| {
        format!(
            "{shards} shards cannot be pinned to {} processors; lower media.shards, or switch media.pin off",
            allowed.len()
        )
    })?;
    Ok(allowed.iter().skip(spare).copied().map(Some).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_processor_of_its_own_and_the_first_are_left_to_others() {
        assert_eq!(spread(&[0, 2, 5], 2), Ok(vec![Some(2), Some(5)]));
        assert_eq!(spread(&[3], 1), Ok(vec![Some(3)]));
        assert_eq!(places(false, 2), Ok(vec![None, None]));
    }

    #[test]
    fn more_shards_than_processors_is_a_sentence() {
        let refusal = spread(&[0, 1], 3).expect_err("too many");
        assert!(refusal.starts_with("3 shards cannot be pinned to 2 processors"));
    }

    #[test]
    fn a_thread_that_is_made_while_pinned_stays_there_and_its_maker_does_not() {
        let before = sys::processors().expect("listed");
        let last = before.last().copied().expect("one at least");
        let pinned = sys::Pinned::to(last).expect("allowed");
        let theirs = std::thread::spawn(sys::processors).join();
        drop(pinned);
        assert_eq!(theirs.expect("no panic").expect("listed"), [last]);
        assert_eq!(sys::processors().expect("listed"), before);
    }
}
