//! Misuses of secrets, permits and proofs that the compiler has to refuse.

#[test]
fn misuses_do_not_compile() {
    let cases = trybuild::TestCases::new();
    // The control: what is used as it should be does compile.
    cases.pass("cases/proper_use.rs");
    cases.compile_fail("cases/secret_*.rs");
    cases.compile_fail("cases/permit_*.rs");
    cases.compile_fail("cases/notes_*.rs");
    cases.compile_fail("cases/durable_*.rs");
}
