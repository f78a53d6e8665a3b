//! What could have been heard, by what arrived: it knows what was sent and delivered, and nothing of the receiver.

use crate::caller::Report;

/// What came of a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A packet that tells of it arrived before any that tells of a later press: it can be heard in its place, by who
    /// waits for nothing.
    InTime,
    /// The first packet that tells of it arrived after one that tells of a later press: it can be heard in its place only by who
    /// waited for it.
    Overtaken,
    /// Everything that tells of it was lost.
    Lost,
}

/// The fate of each of `count` presses. `told` is what the packets tell of them, in the order of their arrival.
pub fn fates<'t>(count: usize, told: impl IntoIterator<Item = &'t Report>) -> Vec<Fate> {
    let mut first = vec![None; count];
    for (order, report) in told.into_iter().enumerate() {
        first[report.press].get_or_insert(order);
    }
    let mut earliest_later = usize::MAX;
    let mut fates: Vec<Fate> = first
        .into_iter()
        .rev()
        .map(|first| {
            let fate = match first {
                None => Fate::Lost,
                Some(first) if first < earliest_later => Fate::InTime,
                Some(_) => Fate::Overtaken,
            };
            earliest_later = earliest_later.min(first.unwrap_or(usize::MAX));
            fate
        })
        .collect();
    fates.reverse();
    fates
}

/// How many segments of each of `count` presses cannot be told from a press of their own. Where reports are repeated, segments
/// are as long as the sender likes (RFC 4733 §2.5.1.3); how long, the last report of an earlier one says, and without it nothing
/// does.
pub fn untold_seams<'t>(count: usize, told: impl IntoIterator<Item = &'t Report>) -> Vec<usize> {
    let mut seams = vec![0; count];
    let mut seen: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut is_length_known = vec![false; count];
    for &Report { press, segment, is_last, .. } in told {
        if !seen[press].contains(&segment) {
            seams[press] += usize::from(!seen[press].is_empty() && !is_length_known[press]);
            seen[press].push(segment);
        }
        is_length_known[press] |= is_last;
    }
    seams
}

/// Whether what was heard is right: every press in time, in its place, and beside them nothing but presses that were
/// overtaken, each in its place too, and what cannot be told from a press.
pub fn is_right(pressed: &[char], fates: &[Fate], seams: &[usize], heard: &[char]) -> bool {
    // Which lengths of `heard` the presses so far may have come to.
    let mut lengths = vec![false; heard.len() + 1];
    lengths[0] = true;
    for ((key, fate), seams) in pressed.iter().zip(fates).zip(seams) {
        let mut next = vec![false; heard.len() + 1];
        for length in (0..=heard.len()).filter(|&length| lengths[length]) {
            let most = if *fate == Fate::Lost { 0 } else { 1 + seams };
            for times in 1..=heard[length..].iter().take(most).take_while(|heard| *heard == key).count() {
                next[length + times] = true;
            }
            if *fate != Fate::InTime {
                next[length] = true;
            }
        }
        lengths = next;
    }
    lengths[heard.len()]
}

#[test]
fn the_oracle_tells_right_from_wrong() {
    use Fate::{InTime, Lost, Overtaken};
    let report = |press, segment, is_last| Report::of(press, segment, is_last);
    let told = [0, 2, 1, 3, 4, 6].map(|press| report(press, 0, true));
    let fates = fates(7, &told);
    assert_eq!(fates, [InTime, Overtaken, InTime, InTime, InTime, Lost, InTime]);
    let pressed: Vec<char> = "1123345".chars().collect();
    let right = |heard: &str| is_right(&pressed, &fates, &[0; 7], &heard.chars().collect::<Vec<_>>());
    assert!(right("112335") && right("12335"), "with what was overtaken, and without");
    for wrong in ["12345", "1123345", "1233", "123335", "12353", "", "123356"] {
        assert!(!right(wrong), "{wrong}");
    }
    let segments = [report(0, 0, false), report(0, 2, true), report(0, 3, false), report(1, 1, false)];
    assert_eq!(
        untold_seams(2, &segments),
        [1, 0],
        "the third follows an unknown length, the fourth a known one"
    );
    assert!(
        is_right(&['1'], &[InTime], &[1], &['1', '1']) && !is_right(&['1'], &[InTime], &[0], &['1', '1'])
    );
}
