//! Sequences: random commands; the broker behaves like the reference, and its facts make a twin.
//!
//! Natively proptest makes them, and shrinks a failing one; in browsers they come from seeds.

#[cfg(not(target_arch = "wasm32"))]
#[path = "../fuzz/run/corpus.rs"]
mod corpus;
mod run;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use proptest::prelude::*;

    /// With `POCKETMQ_SOAK`, ten times as many.
    fn cases() -> u32 {
        if std::env::var_os("POCKETMQ_SOAK").is_some() { 100_000 } else { 10_000 }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_broker_behaves_like_the_reference(commands in prop::collection::vec(any::<[u8; 8]>(), 1..100)) {
            super::run::check(&commands);
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_finds_nothing() {
        super::corpus::of("verbs").iter().for_each(|bytes| super::run::check_bytes(bytes));
    }
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
fn the_broker_behaves_like_the_reference() {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    for seed in 0..1000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut commands = vec![0; 8 * 100];
        random.fill_bytes(&mut commands);
        run::check_bytes(&commands);
    }
}
