# `just` lists the recipes. CI runs the same commands: .ci/run.

default:
    @just --list

# Formatting, lints, the whole suite.
check: && test
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The whole suite, on both databases. MUSTER_CASES names further folders of recorded cases.
test:
    cargo test --workspace --locked

# The whole suite without PostgreSQL.
test-sqlite:
    SKIP_POSTGRES=1 cargo test --workspace --locked

# A part of the end-to-end suite, for example `just suite patch::` or `just suite postgres::patch::`.
suite filter="":
    cargo test -p muster-tests --test suite --locked -- {{ filter }}

# Suites that others wrote, against the release: all, or `just judges scim-sanity/strict`.
judges which="":
    cargo build --release --locked -p muster
    JUDGES="{{ which }}" .ci/judges

# Entra's three credential modes, against the release: all, or `just entra assertion`.
entra *words:
    cargo build --release --locked -p muster
    .ci/entra {{ words }}

# The documentation, warnings denied.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The tables of docs/performance.md; `just load --quick` for a look.
load *arguments:
    cargo run --release --locked -p muster-tests --bin load -- {{ arguments }}

# Licences and advisories with the network's help; the suite does it without.
deny:
    cargo deny check
