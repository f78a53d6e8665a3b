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
    body_cut_short
    content_not_understood
    cseq_method_mismatch
    extension_required
    method_not_allowed
    method_unknown
    no_common_codec
    no_such_dialog
    number_not_served
    options
    uri_scheme_unsupported
    version_unsupported
}
