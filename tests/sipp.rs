//! The SIPp cases of `sip-tests/`, one test a folder. `sip-tests/README.md` says how to read and write them.

mod support;

/// One test for each folder, and a test that none is missing.
macro_rules! cases {
    ($($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                support::run(&stringify!($test).replace('_', "-"));
            }
        )*

        #[test]
        fn every_folder_is_a_test() {
            let mut tests = vec![$(stringify!($test).replace('_', "-")),*];
            tests.sort();
            assert_eq!(support::folders().unwrap(), tests, "left: folders of sip-tests/; right: tests of this file");
        }
    };
}

cases! {
    accepted
    activated
    anonymous
    asserted_tel_uri
    barge_in
    beyond_limit
    body_cut_short
    booked_recently
    cancel
    cancel_after_answer
    cancel_of_nothing
    change_at_confirmation
    codec_change
    content_not_understood
    cseq_method_mismatch
    digest
    digest_claims_another
    digest_nonce_again
    digest_stale_nonce
    digest_unknown_user
    digest_wrong_password
    early_media_unreliable
    exactly_the_limit
    exit
    extension_required
    from_of_a_test_bench
    full_service
    glare
    group_closed
    group_closed_in_mid_call
    hang_up_after_confirmation
    hang_up_anywhere
    hang_up_before_ack
    hang_up_before_confirmation
    help
    hold_and_resume
    hold_by_null_address
    hold_inactive
    in_band
    info_and_event_once
    info_digits
    invite_without_database
    ipv6
    late_offer
    leader_changed_in_mid_call
    leader_for_himself
    limit_used_up
    line_test
    lost_ack
    member_leaves_in_mid_call
    merged_request
    method_not_allowed
    method_unknown
    no_acknowledgement
    no_common_codec
    no_key
    no_such_dialog
    not_a_member
    not_leader
    number_keyed_abroad
    number_not_a_member
    number_not_served
    number_too_short
    old_cseq
    options
    options_while_draining
    options_while_full
    options_without_database
    pcmu_only
    prack_missing
    prack_unknown
    race_for_the_last
    refer_refused
    reinvite_without_offer
    rejected
    rejected_later
    reliable_early_media
    reliable_late_offer
    reliable_required
    reliable_required_answered_at_once
    replaces_refused
    retransmitted_invite
    session_interval_too_small
    session_timer_reinvite
    session_timer_uac_missing
    session_timer_uas_refreshes
    star_goes_back
    two_in_one_call
    tcp
    tcp_hang_up
    type_ahead
    type_ahead_before_confirmation
    untrusted_peer
    update
    uri_scheme_unsupported
    version_unsupported
    wrong_keys
    wrong_number
}
