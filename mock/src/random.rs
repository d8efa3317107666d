//! Seeds of random draws. The same seed gives the same sequence for a route, whatever other routes receive.

use std::sync::{Mutex, PoisonError};

use fastrand::Rng;

/// The seed of a mock that has none: FNV-1a (Fowler, Noll, Vo) of its name, mixed.
pub fn seed_of(name: &str) -> u64 {
    // The offset basis and the prime of 64 bits.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}

/// The seed of a part of something that has a seed: a route of a mock, a port of a range.
pub fn derive(seed: u64, part: u64) -> u64 {
    // The increment of SplitMix64, so that neighbouring parts have distant seeds.
    mix(seed ^ mix(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit given.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A generator that connections share. What belongs together is drawn under one lock, so that the sequence does not
/// depend on which connection is first.
#[derive(Debug)]
pub struct Generator(Mutex<Rng>);

impl Generator {
    /// A generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// Two numbers in [0, 1).
    pub fn pair(&self) -> (f64, f64) {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (rng.f64(), rng.f64())
    }

    /// Random bytes.
    pub fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        let draw = |seed| {
            let generator = Generator::new(seed);
            (0..100).map(|_| generator.pair()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn parts_and_names_have_seeds_of_their_own() {
        let seeds: BTreeSet<u64> = (0..1000)
            .flat_map(|part| [derive(7, part), derive(8, part)])
            .chain([seed_of("a"), seed_of("b"), seed_of("")])
            .collect();
        assert_eq!(seeds.len(), 2003);
    }

    #[test]
    fn the_output_function_is_that_of_splitmix64() {
        // The first three outputs of SplitMix64 for the seed 1234567, as its reference implementation prints them.
        let state = |count: u64| 1_234_567_u64.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let outputs = [mix(state(1)), mix(state(2)), mix(state(3))];
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn random_bytes_have_the_length_asked_for() {
        let generator = Generator::new(1);
        assert_eq!(generator.bytes(0).len(), 0);
        assert_eq!(generator.bytes(100).len(), 100);
        assert_ne!(generator.bytes(100), generator.bytes(100));
    }
}
