//! The support ledger of services that call an endpoint, without what all of them share.

use reconcile_core::fields::{Field, planned, reported, supported, supported_note};

const REGISTERED: &str = "with webhook.url the webhook is registered and kept as it should be; without it add it by hand";

const STAYS: &str = "the webhook stays when the EventSource is deleted: remove it at the service";

/// Without an effect: nothing is registered at the service.
const HOOK: &str = "the webhook is not registered: add it at the service by hand";

pub(super) const GITHUB: &[Field] = &[
    reported("spec.github.{*}.id", "without effect upstream too"),
    supported_note(
        "spec.github.{*}.contentType",
        "json when absent; both types are read",
    ),
    supported_note("spec.github.{*}.events[]", "GitHub's default when absent"),
    supported("spec.github.{*}.owner"),
    supported("spec.github.{*}.repository"),
    supported("spec.github.{*}.repositories[].owner"),
    supported("spec.github.{*}.repositories[].names[]"),
    supported("spec.github.{*}.organizations[]"),
    supported_note("spec.github.{*}.active", "true when absent"),
    supported("spec.github.{*}.insecure"),
    supported_note(
        "spec.github.{*}.githubBaseURL",
        "of GitHub Enterprise, with /api/v3",
    ),
    reported("spec.github.{*}.githubUploadURL", "nothing is uploaded"),
    supported_note("spec.github.{*}.apiToken", REGISTERED),
    supported("spec.github.{*}.apiToken.name"),
    supported("spec.github.{*}.apiToken.key"),
    supported("spec.github.{*}.apiToken.optional"),
    supported("spec.github.{*}.githubApp.appID"),
    supported("spec.github.{*}.githubApp.installationID"),
    supported_note("spec.github.{*}.githubApp.privateKey", REGISTERED),
    supported("spec.github.{*}.githubApp.privateKey.name"),
    supported("spec.github.{*}.githubApp.privateKey.key"),
    supported("spec.github.{*}.githubApp.privateKey.optional"),
    planned("spec.github.{*}.deleteHookOnFinish", STAYS),
    planned(
        "spec.github.{*}.payloadEnrichment.**",
        "the payload is what GitHub sends",
    ),
];

pub(super) const GITLAB: &[Field] = &[
    supported_note(
        "spec.gitlab.{*}.secretToken",
        "checked also where the webhook was added by hand; the header is masked in the payload",
    ),
    supported_note("spec.gitlab.{*}.events[]", "PushEvents when absent"),
    supported("spec.gitlab.{*}.projectID"),
    supported("spec.gitlab.{*}.projects[]"),
    supported("spec.gitlab.{*}.groups[]"),
    supported("spec.gitlab.{*}.enableSSLVerification"),
    supported("spec.gitlab.{*}.gitlabBaseURL"),
    supported_note("spec.gitlab.{*}.accessToken", REGISTERED),
    supported("spec.gitlab.{*}.accessToken.name"),
    supported("spec.gitlab.{*}.accessToken.key"),
    supported("spec.gitlab.{*}.accessToken.optional"),
    planned("spec.gitlab.{*}.deleteHookOnFinish", STAYS),
];

pub(super) const BITBUCKET: &[Field] = &[
    supported("spec.bitbucket.{*}.events[]"),
    supported("spec.bitbucket.{*}.owner"),
    reported(
        "spec.bitbucket.{*}.projectKey",
        "owner and repositorySlug name a repository",
    ),
    supported("spec.bitbucket.{*}.repositorySlug"),
    supported("spec.bitbucket.{*}.repositories[].**"),
    supported_note("spec.bitbucket.{*}.auth.**", REGISTERED),
    planned("spec.bitbucket.{*}.deleteHookOnFinish", STAYS),
];

pub(super) const BITBUCKET_SERVER: &[Field] = &[
    supported("spec.bitbucketserver.{*}.oneEventPerChange"),
    supported("spec.bitbucketserver.{*}.events[]"),
    supported("spec.bitbucketserver.{*}.projectKey"),
    supported("spec.bitbucketserver.{*}.repositorySlug"),
    supported("spec.bitbucketserver.{*}.projects[]"),
    supported("spec.bitbucketserver.{*}.repositories[].**"),
    supported("spec.bitbucketserver.{*}.bitbucketserverBaseURL"),
    supported_note("spec.bitbucketserver.{*}.accessToken.**", REGISTERED),
    planned("spec.bitbucketserver.{*}.deleteHookOnFinish", STAYS),
    reported(
        "spec.bitbucketserver.{*}.checkInterval",
        "the webhook is checked every ten minutes",
    ),
    supported("spec.bitbucketserver.{*}.tls.**"),
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
