//! `audit.*`

use keyward::vault::{
    Actor, ReadError, VerifyError, check_consistency, prove_entry, query_trail, trail_extent,
    verify_trail, who_used, who_used_id,
};

use super::super::answers::{
    Checkpoint, Fault, FaultCode, ProofEntry, PrunedEntry, RecordEntry, RecordPage,
};
use super::super::request::Request;
use super::super::texts::time;
use super::{Node, Reply, misrouted};

/// The records in one answer, unless fewer are asked for.
const MAX_RECORDS: u32 = 1000;
const RECORDS: u32 = 100;

pub(super) fn execute(request: Request, node: &dyn Node, actor: &Actor) -> Result<Reply, Fault> {
    let trail = node.vault().audit();
    // Whoever asks wants to see what has happened until now.
    if !matches!(request, Request::AuditPrune { .. }) {
        trail.cover();
    }
    match request {
        Request::AuditCheckpoint {} => Reply::data(Checkpoint {
            checkpoint: trail.checkpoint(),
            verifier_key: trail.verifier_key(),
        }),
        Request::AuditQuery {
            filter,
            from,
            limit,
        } => {
            let limit = limit.unwrap_or(RECORDS).clamp(1, MAX_RECORDS);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let covered = trail_extent(node.trail()).map_err(read_fault)?.covered;
            let mut filter = filter.read()?;
            // The trail says which id a name has, unless that has been pruned.
            if let (Some(name), None) = (&filter.secret, filter.secret_id) {
                filter.secret_id = node.vault().info(name).map(|info| info.id);
            }
            let page = query_trail(node.trail(), &filter, from, limit).map_err(read_fault)?;
            Reply::data(RecordPage {
                records: page.records.iter().map(RecordEntry::from).collect(),
                next: page.next,
                covered,
            })
        }
        Request::AuditWho { secret, since } => {
            let since = since.as_deref().map(time).transpose()?;
            let uses = match node.vault().info(&secret) {
                Some(info) => who_used_id(node.trail(), info.id, Some(&secret), since),
                None => who_used(node.trail(), &secret, since),
            };
            let uses = uses.map_err(read_fault)?;
            Reply::data(uses.iter().map(|used| used.to_json()).collect::<Vec<_>>())
        }
        Request::AuditProve { entry } => {
            let covered = trail_extent(node.trail()).map_err(read_fault)?.covered;
            if entry >= covered {
                return Err(Fault::refused(format!(
                    "there is no entry {entry}: the newest checkpoint covers {covered} entries, counted from 0"
                )));
            }
            let verifier_key = trail.verifier_key();
            let proof = prove_entry(node.trail(), &verifier_key, entry).map_err(Fault::refused)?;
            Reply::data(ProofEntry {
                text: proof.to_text(),
                proof: proof.to_json(),
                verifier_key,
            })
        }
        Request::AuditVerify { key } => {
            let key = key.unwrap_or_else(|| trail.verifier_key());
            let report = verify_trail(node.trail(), &key).map_err(verify_fault)?;
            Reply::data(report.to_json())
        }
        Request::AuditConsistency { old, new, key } => {
            let key = key.unwrap_or_else(|| trail.verifier_key());
            let proof = check_consistency(node.trail(), &old, new.as_deref(), &key);
            Reply::data(proof.map_err(verify_fault)?.to_json())
        }
        Request::AuditPrune { before } => {
            let pruned = trail
                .prune(time(&before)?, actor)
                .map_err(|error| Fault::of(FaultCode::Unavailable, error))?;
            Reply::data(PrunedEntry {
                entries: pruned.map_or(0, |pruned| pruned.entries),
            })
        }
        other => Err(misrouted(&other)),
    }
}

fn verify_fault(error: VerifyError) -> Fault {
    let code = match error {
        VerifyError::Findings { .. } => FaultCode::Findings,
        VerifyError::Key(_) | VerifyError::Kept(_) => FaultCode::Refused,
        VerifyError::File { .. } => FaultCode::Unavailable,
    };
    Fault::of(code, error)
}

fn read_fault(error: ReadError) -> Fault {
    Fault::of(FaultCode::Unavailable, error)
}
