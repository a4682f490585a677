//! `check` walks all that a fetch does and names the step that failed.

use keyward::sources::{CheckStep, Source as _, StepOutcome};
use keyward_tests::key_vault::{Azure, Challenge, Names};

use crate::support::{machine, vault, vault_with};

/// The step that failed, its error, and how many came before.
fn failed(steps: &[CheckStep]) -> (usize, String, String) {
    let at = steps
        .iter()
        .position(|step| matches!(step.outcome, StepOutcome::Failed { .. }))
        .unwrap_or_else(|| panic!("none failed: {steps:?}"));
    let StepOutcome::Failed { error } = &steps[at].outcome else {
        unreachable!()
    };
    let passed = |step: &CheckStep| matches!(step.outcome, StepOutcome::Passed { .. });
    assert!(steps[..at].iter().all(passed), "{steps:?}");
    let skipped = |step: &CheckStep| step.outcome == StepOutcome::Skipped;
    assert!(steps[at + 1..].iter().all(skipped), "{steps:?}");
    assert_eq!(steps.len(), 8);
    assert!(error.advice().ends_with('.'));
    (at, steps[at].step.to_string(), error.to_string())
}

#[tokio::test]
async fn all_steps_of_a_source_that_works_pass() {
    let azure = Azure::start();
    let version = azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    let steps = vault.check(Some("a")).await;
    let lines: Vec<String> = steps
        .iter()
        .map(|step| match &step.outcome {
            StepOutcome::Passed { detail } => format!("{}: {detail}", step.step),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        lines[0],
        "the vault's name has an address: shop.vault.azure.net"
    );
    assert_eq!(lines[5], "the identity endpoint answers: imds");
    assert_eq!(
        lines[7],
        format!("the secret can be read: version {version}")
    );
    // Without a key, no secret is read.
    let steps = vault.check(None).await;
    assert_eq!(steps[7].outcome, StepOutcome::Skipped);
}

#[tokio::test]
async fn the_step_that_fails_is_named_with_what_to_do() {
    let azure = Azure::start();
    let dialer = azure.names().dialer();
    let mut settings = azure.settings();

    let nowhere = vault_with(&settings, &machine(), &Names::default().dialer());
    let steps = nowhere.check(Some("a")).await;
    assert_eq!(failed(&steps).0, 0);

    settings.networks = Some(vec![keyward::egress::Network::Private]);
    let inside = vault_with(&settings, &machine(), &dialer);
    assert_eq!(
        failed(&inside.check(None).await).1,
        "its address is allowed"
    );
    settings.networks = None;

    let dead = Names::default().with(".vault.azure.net", "127.0.0.1:9".parse().unwrap());
    let dead = vault_with(&settings, &machine(), &dead.dialer());
    assert_eq!(failed(&dead.check(None).await).1, "it accepts a connection");

    settings.roots = keyward::egress::Roots::Pem(Azure::start().authority_pem().into());
    let untrusted = vault_with(&settings, &machine(), &dialer);
    assert_eq!(
        failed(&untrusted.check(None).await).1,
        "its certificate is trusted"
    );

    azure.name_authority("https://login.evil.example");
    let steps = vault(&azure).check(None).await;
    assert_eq!(failed(&steps).1, "its challenge is as pinned");
    azure.change(|state| state.challenge = Challenge::Honest);
    azure.name_authority("https://login.microsoftonline.com");

    let names = Names::default().with(".vault.azure.net", azure.secure());
    let alone = vault_with(&azure.settings(), &machine(), &names.dialer());
    assert_eq!(
        failed(&alone.check(None).await).1,
        "the identity endpoint answers"
    );

    azure.change(|state| state.has_system_identity = false);
    let (_, step, error) = failed(&vault(&azure).check(None).await);
    assert_eq!(step, "it gives a token for the vault");
    assert_eq!(error, "no token: the identity is not assigned here");
    azure.change(|state| state.has_system_identity = true);

    let (_, step, error) = failed(&vault(&azure).check(Some("a")).await);
    assert_eq!(step, "the secret can be read");
    assert_eq!(error, "no such secret in the source");
}
