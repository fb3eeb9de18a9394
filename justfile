# What people type most. `just` lists them; each is one plain command, so that nothing depends on `just`.

_default:
    @just --list --unsorted

# Everything that CI checks, in its order
ci:
    bash .ci/run

# All tests; arguments go to `cargo test`: `just test --lib queue::`
test *args:
    tests/run {{ args }}

# The tour: import a book, export it to every format
demo *args:
    cargo run --release -- demo {{ args }}

# The benchmarks, printed as ratios and counts
bench *args:
    cargo bench --workspace {{ args }}
