//! Home of the criterion benches in `benches/`; run them with `cargo xtask bench`.
