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

/// What authors of policies get wrong is said in their words.
#[test]
fn mistakes_in_policies_are_explained() {
    let cases = trybuild::TestCases::new();
    // The control: a policy as it should be.
    cases.pass("cases/policy_good.rs");
    cases.compile_fail("cases/policy_s*.rs");
    cases.compile_fail("cases/policy_u*.rs");
    cases.compile_fail("cases/policy_w*.rs");
}
