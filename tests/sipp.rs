//! The SIPp cases of `sip-tests/`, one test for each folder and transport. `sip-tests/README.md` says how to read and
//! write them.

mod support;

/// A module with one test for each case.
macro_rules! over {
    ($module:ident, $transport:ident, $($test:ident)*) => {
        mod $module {
            use crate::support::{self, case::Transport};

            $(
                #[test]
                fn $test() {
                    support::run(&stringify!($test).replace('_', "-"), Transport::$transport);
                }
            )*

            #[test]
            fn every_folder_is_a_test() {
                let mut tests = vec![$(stringify!($test).replace('_', "-")),*];
                tests.sort();
                let folders = support::cases_over(Transport::$transport).unwrap();
                assert_eq!(folders, tests, "left: folders of sip-tests/; right: tests of this file");
            }
        }
    };
}

/// Those that run over each transport, and those that only one has.
macro_rules! cases {
    (everywhere { $($everywhere:ident)* } udp { $($udp:ident)* } tls { $($tls:ident)* }) => {
        over!(udp, Udp, $($everywhere)* $($udp)*);
        over!(tcp, Tcp, $($everywhere)*);
        over!(tls, Tls, $($everywhere)* $($tls)*);
    };
}

cases! {
    everywhere {
        activated
        anonymous
        asserted_tel_uri
        barge_in
        cancel
        cancel_after_answer
        cancel_of_nothing
        codec_change
        codec_change_wideband
        content_not_understood
        cseq_method_mismatch
        digest
        digest_claims_another
        digest_nonce_again
        digest_stale_nonce
        digest_unknown_user
        digest_wrong_password
        early_media_unreliable
        extension_required
        from_of_a_test_bench
        full_service
        glare
        hang_up_before_ack
        hang_up_before_confirmation
        hold_and_resume
        hold_by_null_address
        hold_inactive
        in_band
        info_and_event_once
        info_digits
        invite_without_database
        ipv6
        late_offer
        line_test
        lost_ack
        merged_request
        method_not_allowed
        method_unknown
        no_common_codec
        no_such_dialog
        number_not_served
        old_cseq
        options
        options_while_draining
        options_while_full
        options_without_database
        overload_feedback
        pcmu_only
        phone_context
        pin
        ported_number
        prack_changes_session
        prack_missing
        prack_unknown
        privacy_of_an_asserted_identity
        reason_of_the_caller
        refer_refused
        reinvite_without_offer
        reliable_early_media
        reliable_late_offer
        reliable_required
        reliable_required_answered_at_once
        replaces_refused
        retransmitted_invite
        scanner_dropped
        scanner_passed_on
        session_interval_too_small
        session_timer_reinvite
        session_timer_uac_missing
        session_timer_uac_refreshes
        session_timer_uas_refreshes
        share_of_a_peer
        stranger_refused
        untrusted_peer
        update
        uri_scheme_unsupported
        version_unsupported
    }
    udp {
        accepted
        beyond_limit
        body_cut_short
        booked_recently
        change_at_confirmation
        exactly_the_limit
        exit
        group_closed
        group_closed_in_mid_call
        hang_up_after_confirmation
        hang_up_anywhere
        help
        leader_changed_in_mid_call
        leader_for_himself
        limit_used_up
        member_leaves_in_mid_call
        no_acknowledgement
        no_key
        not_a_member
        not_leader
        number_keyed_abroad
        number_not_a_member
        number_too_short
        race_for_the_last
        rejected
        rejected_later
        star_goes_back
        two_in_one_call
        type_ahead
        type_ahead_before_confirmation
        wrong_keys
        wrong_number
    }
    tls {
        peer_by_certificate
        sips
    }
}
