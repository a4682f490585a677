//! P6: a policy can't stop, crash or starve the host beyond its budget; and whatever
//! shape it has, it has no handle but those that it was given. Each attack is a real
//! component in a real sandbox; most are text, in shapes that no compiler makes.
//!
//! What each attack is proved by. A control shows that the attack would do what it is
//! said to do: "in it" stands in the test itself, under the word *Control*.
//!
//! | Attack | Tests | Control |
//! |---|---|---|
//! | E1 loops wherever guest code runs | time::a_loop_at_any_place_ends_with_its_time, time::a_loop_ends_within_its_deadline_and_ten_milliseconds_of_the_clock | time::control_a_loop_runs_for_as_long_as_its_limit_says |
//! | E1 a loop while settings are read | time::a_loop_while_settings_are_read_ends_with_its_time | in it |
//! | E2 memory, asked for and declared | memory::memory_ends_at_its_limit, memory::what_a_component_declares_can_not_pass_the_limit | in it |
//! | E2 big data | memory::big_data_fills_its_own_memory_and_no_more | in it |
//! | E3 tables | memory::tables_have_so_many_elements_together, memory::a_table_grows_to_its_limit | in it |
//! | E3 element segments | memory::huge_element_segments_end_the_guest_and_not_the_host | in it |
//! | E4 recursion | time::recursion_ends_the_guest_and_the_host_has_room_at_its_deepest_point, time::recursion_in_the_allocator_ends_the_guest | in it |
//! | E4 nesting of types and components | nesting::what_is_nested_too_deeply_is_refused | nesting::control_without_the_walk_before_it_the_reader_runs_out_of_stack |
//! | E4 nesting of text and code | nesting::text_in_the_manifest_that_is_nested_too_deeply_is_refused, nesting::code_that_is_nested_deeply_is_compiled_or_refused | in it |
//! | E5 long instructions | time::one_instruction_over_all_memory_is_bounded_by_the_size_of_memory | in it |
//! | E6 waiting in the host | waiting::a_guest_that_waits_in_the_host_has_so_much_time_and_others_go_on, waiting::many_waits_in_a_row_have_one_time_together, waiting::a_call_that_was_given_a_time_ends_with_it_and_the_guest_goes_on | waiting::control_a_body_that_comes_is_read |
//! | E6 a disk that hangs, a client that goes away | waiting::a_disk_that_hangs_holds_no_guest_for_longer_than_its_time, waiting::a_call_that_is_given_up_leaves_its_sandbox_to_others | in it |
//! | E7 arguments | calls::arguments_have_so_many_bytes, calls::arguments_that_lie_outside_of_memory_or_are_no_values_end_the_guest, calls::strings_in_other_encodings_are_read_with_the_same_care | in it |
//! | E7 what the host holds for a guest | calls::requests_of_its_own_that_are_never_sent_have_one_size_together, calls::a_body_is_not_held_beyond_its_limit_however_often_it_is_asked_for | in it |
//! | E7 a source that gives nothing | calls::a_body_of_empty_parts_keeps_nobody_busy | in it |
//! | E8 handles | calls::handles_are_so_many_at_once | in it |
//! | E8 resources of its own | calls::a_component_with_resources_of_its_own_is_refused_wherever_they_are | in it |
//! | E9 compile bombs | bombs::a_compile_bomb_ends_in_its_child_and_calls_go_on_meanwhile, bombs::requests_are_answered_while_a_gateway_loads_a_bomb, bombs::a_bomb_ends_at_the_limits_that_the_kernel_holds_its_child_to, nesting::a_type_that_doubles_with_each_line_is_refused_before_it_is_large | bombs::control_smaller_ones_are_compiled |
//! | E10 imports | imports::an_import_is_one_of_ours_to_the_letter_or_refused, imports::a_function_that_the_contract_does_not_have_is_not_stubbed | in it |
//! | E10 features | imports::what_no_policy_needs_is_refused | in it |
//! | E11 what others leave behind | residue::a_guest_finds_nothing_of_those_before_it | residue::control_what_is_left_in_ones_own_memory_is_found |
//! | A3 handles never given | handles::an_index_that_was_never_given_or_is_of_another_type_ends_the_guest, handles::a_handle_that_is_gone_ends_the_guest | in it |
//! | A4 handles kept | handles::a_handle_of_one_call_is_nothing_in_the_next, handles::a_handle_outlives_neither_its_grant_nor_its_secret, handles::a_handle_means_the_version_that_its_exchange_began_with | in it |
//! | A4 numbers of handles kept for another phase, exchange or policy | kept::a_number_of_one_phase_is_nothing_in_the_next_phase_or_exchange, kept::a_number_means_what_its_own_call_opened_and_nobody_elses_secret | in it |
//! | A5 handles passed on | handles::a_component_through_which_a_handle_could_leave_is_refused | in it |
//! | A21 changes after the check | handles::an_argument_that_changes_after_it_was_taken_changes_nothing, handles::a_message_that_changes_after_it_was_taken_is_signed_as_it_was | in it |
//! | A21 calls within calls | handles::a_guest_that_calls_the_host_while_the_host_calls_it_ends, handles::a_place_for_an_answer_that_is_no_place_ends_the_guest | in it |
//! | A22 names that look like others | names::no_other_text_is_the_name, names::a_text_is_a_name_as_it_stands_or_none | in it |
//! | D27 manifests that grant themselves something, or name a secret elsewhere | manifests::a_manifest_gives_no_authority, manifests::a_reference_in_place_of_an_alias_is_no_name | in it |
//! | a fair share | fairness::a_hundred_that_compute_leave_every_hundred_and_first_turn_to_another, fairness::on_a_runtime_with_one_thread_a_victim_is_served_while_a_hundred_compute | fairness::control_without_turns_the_victim_comes_last |
//! | memory returns to its level | level::memory_returns_to_its_level, level::components_that_are_loaded_and_dropped_leave_nothing | level::control_what_is_kept_is_seen |
//! | uses of secrets, with hostile arguments | uses::claims_that_no_grant_allows_are_refused_whatever_they_are, uses::bytes_and_texts_of_any_sort_are_taken_or_refused, uses::queries_are_the_grants_and_their_values_of_its_types | in it |
//! | A3, A4 handles of every use | uses::a_handle_that_is_gone_or_of_another_type_ends_the_guest | in it |
//! | E8 handles and uses, of every type | uses::handles_of_all_types_are_so_many_together_and_uses_so_many | in it |
//! | A22 names that are not there | uses::a_name_that_there_is_not_answers_like_one_that_is_not_granted | in it |
//! | requests that it forwards | shared::what_was_attached_goes_with_one_forward_and_no_other, shared::a_route_that_is_closed_or_does_not_exist_gets_nothing, shared::no_guest_forwards_in_another_phase_or_where_the_host_does, shared::the_host_is_had_to_forward_only_where_the_guest_could, shared::a_plan_is_taken_back_by_whatever_comes_after_it, shared::a_body_goes_again_only_if_it_was_kept_and_no_larger_one_is_kept, shared::forwards_are_so_many_in_a_call | in it |
//! | E6 waiting for a backend, and sleeping | shared::a_backend_that_says_nothing_is_waited_for_as_long_as_it_was_said_and_on_its_own_time, shared::a_guest_sleeps_for_as_long_as_its_time_and_no_longer | in it |
//! | values and places that outlive a call | shared::a_cache_holds_so_much_and_is_its_policys_alone, shared::what_depends_on_a_use_is_in_no_cache_before_the_use_is_on_record, shared::a_place_is_given_back_however_a_call_ends | in it |
//! | calls by chance | uses::calls_by_chance_end_and_leave_the_host_as_it_was | in it |
//! | code by chance | chance::code_by_chance_runs_or_is_stopped, chance::damaged_components_are_refused_or_run | in it |
//!
//! Beside these, `budgets` and `loading` put two attackers that the SDK builds through
//! a whole gateway.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing unwrap is a failing test, and measurements are printed"
)]

mod attacker;
mod bombs;
mod budgets;
mod caller;
mod calls;
mod chance;
mod fairness;
mod granted;
mod handles;
mod imports;
mod kept;
mod lab;
mod level;
mod loading;
mod manifests;
mod memory;
mod names;
mod nesting;
mod residue;
mod shared;
mod time;
mod uses;
mod waiting;

/// The text of each module that the table names.
const MODULES: [(&str, &str); 17] = [
    ("bombs", include_str!("bombs.rs")),
    ("calls", include_str!("calls.rs")),
    ("chance", include_str!("chance.rs")),
    ("fairness", include_str!("fairness.rs")),
    ("handles", include_str!("handles.rs")),
    ("imports", include_str!("imports.rs")),
    ("kept", include_str!("kept.rs")),
    ("level", include_str!("level.rs")),
    ("manifests", include_str!("manifests.rs")),
    ("memory", include_str!("memory.rs")),
    ("names", include_str!("names.rs")),
    ("nesting", include_str!("nesting.rs")),
    ("residue", include_str!("residue.rs")),
    ("shared", include_str!("shared.rs")),
    ("time", include_str!("time.rs")),
    ("uses", include_str!("uses.rs")),
    ("waiting", include_str!("waiting.rs")),
];

/// A test's text, from its name to the end of its function.
fn text_of(test: &str) -> Option<&'static str> {
    let (module, name) = test.split_once("::")?;
    let (_, text) = MODULES.into_iter().find(|(known, _)| *known == module)?;
    let place = text.find(&format!("#[test]\nfn {name}("))?;
    let text = &text[place..];
    text.find("\n}\n").map(|end| &text[..end])
}

#[test]
fn each_attack_has_a_test_and_each_test_a_control() {
    let mut attacks = std::collections::BTreeSet::new();
    let rows = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter(|line| !line.starts_with("Attack |"));
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [attack, tests, control, _] = columns[..] else {
            panic!("{row}");
        };
        let tests: Vec<_> = tests
            .split(", ")
            .map(|test| (test, text_of(test)))
            .collect();
        for (test, text) in &tests {
            assert!(text.is_some(), "{attack}: there is no test {test}");
        }
        if control == "in it" {
            let controlled = |text: Option<&str>| text.is_some_and(|text| text.contains("Control"));
            assert!(
                tests.iter().any(|(_, text)| controlled(*text)),
                "{attack}: no test has its control in it"
            );
        } else {
            assert!(
                text_of(control).is_some(),
                "{attack}: there is no {control}"
            );
        }
        attacks.extend(attack.split(' ').next());
    }
    let numbered = (1..=11).map(|n| format!("E{n}"));
    let numbered = numbered.chain(["A3", "A4", "A5", "A21", "A22", "D27"].map(str::to_owned));
    for attack in numbered {
        assert!(
            attacks.contains(attack.as_str()),
            "{attack} is not in the table"
        );
    }
}
