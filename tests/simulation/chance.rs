//! The only source of chance in a simulation: one generator, wholly determined by the seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub struct Chance {
    random: StdRng,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed) }
    }

    /// A number from 0 to below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True once in `times` times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("an index")]
    }

    /// The seed of an endpoint.
    pub fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.random.fill_bytes(&mut key);
        key
    }
}
