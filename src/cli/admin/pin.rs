//! `klikon admin leader pin`: the leader's PIN, from standard input or made here.

use super::Answer;
use crate::klikon::Pin;
use crate::store::Store;
use crate::units::FixedNumber;
use crate::units::clock::entropy;
use anyhow::Context;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{BufRead, IsTerminal};

/// Sets the PIN of a group's current leader.
pub(super) async fn set(
    store: &Store,
    contract: &FixedNumber,
    generate: bool,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let mut random = StdRng::from_seed(entropy());
    let (digits, pin) = if generate { made(&mut random) } else { read()? };
    let hash = pin.hash(random.random()).context("the PIN cannot be hashed")?;
    store.set_pin(contract, &hash, now).await?;
    Ok(Answer::done(match generate {
        true => format!("the PIN of the Lider Mobile of {contract} is {digits}; it is shown this once"),
        false => format!("the PIN of the Lider Mobile of {contract} is set"),
    }))
}

/// Six digits that are not guessed first.
fn made(random: &mut StdRng) -> (String, Pin) {
    loop {
        let digits = format!("{:06}", random.random_range(0..1_000_000));
        if let Ok(pin) = Pin::choose(&digits) {
            return (digits, pin);
        }
    }
}

fn read() -> anyhow::Result<(String, Pin)> {
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        eprint!("PIN: ");
    }
    let mut line = String::new();
    input.read_line(&mut line).context("no PIN could be read from standard input")?;
    let digits = line.trim();
    let pin = Pin::choose(digits)
        .context("write the PIN to standard input, like `echo 4729 | klikon admin leader pin 042250928`")?;
    Ok((digits.to_owned(), pin))
}
