//! klikon
