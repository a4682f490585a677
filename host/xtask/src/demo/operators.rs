//! What operators do while the gateway runs: ask who used a key, withdraw a
//! grant, take a secret out of use; each with the `keyward` command.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::client::get;
use super::show::Show;
use super::world::World;

/// What revoking promises: the grant is dead on the node within this time.
const DEAD_WITHIN: Duration = Duration::from_secs(1);

pub(super) async fn operate(world: &World, show: &mut Show) -> Result<()> {
    show.step(
        6,
        "An operator asks who used the key, and withdraws the grant",
    );
    let who = world.keyward(&["audit", "who", "billing-key"], None)?;
    for line in who.lines().take(5) {
        show.say(line);
    }
    show.check(
        who.contains("attach-api-key"),
        "`keyward audit who billing-key` names the policy that used it",
    );
    let status = async || -> Result<u16> {
        let answer = get(world.gateway, "/v1/charges", Some(&world.client_key)).await?;
        Ok(answer.status.as_u16())
    };
    let received = || -> Result<usize> { Ok(world.backend.noted()?.len()) };

    let before = received()?;
    let since = Instant::now();
    let why = "--reason=the partner reports a leak";
    world.keyward(&["grants", "revoke", "billing-attach", why], None)?;
    let refused = status().await?;
    show.check(
        refused >= 400 && received()? == before && since.elapsed() < DEAD_WITHIN,
        &format!("revoked: the next request ends with {refused}, nothing reached the backend"),
    );
    let denied = world.keyward(&["grants", "denied", "--since", "1h"], None)?;
    show.check(
        denied.contains("attach-api-key"),
        "`keyward grants denied` says what was denied since, and what would allow it",
    );
    world.keyward(&["grants", "reinstate", "billing-attach"], None)?;
    show.check(status().await? == 200, "reinstated: 200 OK");

    world.keyward(&["secret", "disable", "billing-key"], None)?;
    let disabled = status().await?;
    show.check(
        disabled >= 400,
        &format!("the secret disabled: {disabled}, whatever the grants say"),
    );
    world.keyward(&["secret", "enable", "billing-key"], None)?;
    show.check(status().await? == 200, "enabled again: 200 OK");

    let mut recorded = true;
    for act in [
        "grants-revoked",
        "grants-reinstated",
        "secret-disabled",
        "secret-enabled",
    ] {
        let acts = world.keyward(&["audit", "query", "--act", act], None)?;
        recorded &= acts.contains(act) && acts.contains("uid ");
        if act == "grants-revoked" {
            recorded &= acts.contains("the partner reports a leak");
            show.say(acts.trim_end());
        }
    }
    show.check(
        recorded,
        "each of these acts is in the audit trail, with who and why",
    );
    Ok(())
}
