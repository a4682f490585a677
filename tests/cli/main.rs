//! The `keyward` command, as people and scripts meet it: the real binary, its
//! words, its exit codes.
//!
//! Most cases are transcripts (`transcripts/*.txt`): commands and what they
//! print. What a transcript can't show (a terminal, a running gateway, another
//! user) is in the files beside this one.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod binary;
mod chance;
mod components;
mod coverage;
mod denied;
mod denied_uses;
mod live;
mod normal;
mod policies;
mod prompt;
mod references;
mod roles;
mod running;
mod shipped;
mod signals;
mod sourced;
mod transcript;
mod watching;

macro_rules! transcripts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        #[test]
        fn $name() {
            transcript::check(stringify!($name));
        }
    )*

        /// A transcript that nobody runs proves nothing.
        #[test]
        fn every_transcript_is_run() {
            let mut files: Vec<String> = std::fs::read_dir(transcript::folder())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            let mut run = vec![$(stringify!($name)),*];
            run.sort_unstable();
            assert_eq!(files, run);
        }
    };
}

transcripts! {
    audit_verify_finds_a_changed_trail;
    a_running_gateway_carries_commands_out;
    audit_answers_who_when_and_what;
    changes_need_a_reason_where_it_is_required;
    clients_have_two_keys_so_that_they_rotate;
    completions_for_each_shell;
    config_is_checked_shown_and_reloaded;
    doctor_names_what_is_wrong_and_what_mends_it;
    documents_are_checked_put_together_and_explained;
    documents_ask_for_grants;
    documents_run_and_are_traced;
    grants_are_revoked_in_a_running_gateway;
    grants_check_shows_grants_in_words;
    grants_diff_tells_what_widens;
    grants_explain_says_who_may_do_what;
    grants_pin_and_what_drifts;
    grants_revoke_and_reinstate;
    help_teaches;
    import_apim_makes_a_gateway_of_a_template;
    init_makes_a_gateway_and_overwrites_nothing;
    key_vault_references_are_requests_for_secrets;
    man_pages_for_each_command;
    named_values_stand_for_texts_secrets_and_references;
    named_values_stand_in_the_configuration;
    policies_are_made_built_and_looked_over;
    policy_inspect_shows_what_a_policy_wants;
    policy_run_shows_what_a_policy_does;
    secrets_are_disabled_rolled_back_and_removed;
    secrets_come_from_sources;
    secrets_are_stored_listed_and_rotated_but_never_shown;
    secrets_say_how_versions_follow_each_other;
    secrets_show_their_public_parts;
    test_keeps_snapshots_that_are_accepted;
    test_measures_decisions;
    test_records_calls_and_replays_them;
    test_runs_the_suites_of_policies;
    test_writes_reports_for_programs;
    usage_errors_end_with_2;
    vault_slots_backups_and_rollbacks;
    what_else_documents_name;
    where_the_configuration_is_found;
}
