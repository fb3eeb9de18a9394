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

# A benchmark beside its baseline: `just bench queue`, `just bench export --size 1GiB`
bench *args:
    cargo run --release -- bench {{ args }}
