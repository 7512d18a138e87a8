//! Icons of the actions: classes of Font Awesome.

pub(super) const RESTART: &str = "fa fa-fw fa-redo";
pub(super) const PAUSE: &str = "fa fa-fw fa-pause";
pub(super) const PLAY: &str = "fa fa-fw fa-play";
pub(super) const PLUS: &str = "fa fa-fw fa-plus";
pub(super) const STOP: &str = "fa fa-fw fa-stop";
