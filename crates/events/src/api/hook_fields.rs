//! The support ledger of services that call an endpoint, without what all of them share.

use reconcile_core::fields::{Field, planned, supported, supported_note};

/// Without an effect: nothing is registered at the service.
const HOOK: &str = "the webhook is not registered: add it at the service by hand";

pub(super) const GITHUB: &[Field] = &[
    supported_note(
        "spec.github.{*}.id",
        "where the webhook was added by hand; informative",
    ),
    supported_note("spec.github.{*}.contentType", "both types are read"),
    supported_note(
        "spec.github.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.owner",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.repository",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.repositories[].owner",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.repositories[].names[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.organizations[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.active",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.insecure",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.githubBaseURL",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.github.{*}.githubUploadURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.github.{*}.apiToken.**", HOOK),
    planned("spec.github.{*}.githubApp.**", HOOK),
    planned("spec.github.{*}.deleteHookOnFinish", HOOK),
    planned("spec.github.{*}.payloadEnrichment.**", HOOK),
];

pub(super) const GITLAB: &[Field] = &[
    supported_note(
        "spec.gitlab.{*}.secretToken",
        "checked also where upstream does not manage the webhook; the header is masked in the payload",
    ),
    supported_note(
        "spec.gitlab.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.projectID",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.groups[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.enableSSLVerification",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gitlab.{*}.gitlabBaseURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.gitlab.{*}.accessToken.**", HOOK),
    planned("spec.gitlab.{*}.deleteHookOnFinish", HOOK),
];

pub(super) const BITBUCKET: &[Field] = &[
    supported_note(
        "spec.bitbucket.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.owner",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.projectKey",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.repositorySlug",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucket.{*}.repositories[].**",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.bitbucket.{*}.auth.**", HOOK),
    planned("spec.bitbucket.{*}.deleteHookOnFinish", HOOK),
];

pub(super) const BITBUCKET_SERVER: &[Field] = &[
    supported("spec.bitbucketserver.{*}.oneEventPerChange"),
    supported_note(
        "spec.bitbucketserver.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.projectKey",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.repositorySlug",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.repositories[].**",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.bitbucketserver.{*}.bitbucketserverBaseURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.bitbucketserver.{*}.accessToken.**", HOOK),
    planned("spec.bitbucketserver.{*}.deleteHookOnFinish", HOOK),
    planned("spec.bitbucketserver.{*}.checkInterval", HOOK),
    planned("spec.bitbucketserver.{*}.tls.**", HOOK),
    planned(
        "spec.bitbucketserver.{*}.skipBranchRefsChangedOnOpenPR",
        "pushes to branches with an open pull request become events",
    ),
];

pub(super) const GERRIT: &[Field] = &[
    supported_note(
        "spec.gerrit.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.hookName",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.projects[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.gerritBaseURL",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.gerrit.{*}.sslVerify",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.gerrit.{*}.auth.**", HOOK),
    planned("spec.gerrit.{*}.deleteHookOnFinish", HOOK),
];

pub(super) const SLACK: &[Field] = &[
    supported_note("spec.slack.{*}.signingSecret", "required"),
    supported_note(
        "spec.slack.{*}.token",
        "the verification token of the Events API; optional here",
    ),
];

pub(super) const STRIPE: &[Field] = &[
    supported_note(
        "spec.stripe.{*}.eventFilter[]",
        "other events are answered with 200 and dropped",
    ),
    planned("spec.stripe.{*}.apiKey.**", HOOK),
    planned("spec.stripe.{*}.createWebhook", HOOK),
];

pub(super) const STORAGE_GRID: &[Field] = &[
    supported("spec.storageGrid.{*}.filter.prefix"),
    supported("spec.storageGrid.{*}.filter.suffix"),
    supported_note(
        "spec.storageGrid.{*}.topicArn",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.bucket",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.events[]",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.region",
        "where the webhook was added by hand; informative",
    ),
    supported_note(
        "spec.storageGrid.{*}.apiURL",
        "where the webhook was added by hand; informative",
    ),
    planned("spec.storageGrid.{*}.authToken.**", HOOK),
];

pub(super) const SNS: &[Field] = &[
    supported_note(
        "spec.sns.{*}.topicArn",
        "messages of other topics are refused",
    ),
    supported("spec.sns.{*}.region"),
    supported_note("spec.sns.{*}.endpoint", "where subscriptions are confirmed"),
    supported_note("spec.sns.{*}.validateSignature", "SignatureVersion 1 and 2"),
    planned(
        "spec.sns.{*}.accessKey.**",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
    planned(
        "spec.sns.{*}.secretKey.**",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
    planned(
        "spec.sns.{*}.roleARN",
        "the endpoint is not subscribed: subscribe it at the topic by hand; the confirmation is answered",
    ),
];
