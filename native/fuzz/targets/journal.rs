#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runbundle_native_fuzz::laws::journal::check(data));
