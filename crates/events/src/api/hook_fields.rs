//! The support ledger of services that call an endpoint, without what all of them share.

use reconcile_core::fields::{Field, reported, supported, supported_note};

const REGISTERED: &str = "with webhook.url the webhook is registered and kept as it should be; without it add it by hand";

const REMOVED: &str = "five tries; then an Event says what stays";

const SUBSCRIBED: &str = "with webhook.url the endpoint is subscribed, until the event is deleted; without it subscribe it by hand";

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
    supported_note("spec.github.{*}.deleteHookOnFinish", REMOVED),
    supported_note(
        "spec.github.{*}.payloadEnrichment.fetchPROnPRCommentAdded",
        "as body.pull_request; with apiToken or githubApp",
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
    supported_note("spec.gitlab.{*}.deleteHookOnFinish", REMOVED),
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
    supported_note("spec.bitbucket.{*}.deleteHookOnFinish", REMOVED),
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
    supported_note("spec.bitbucketserver.{*}.deleteHookOnFinish", REMOVED),
    reported(
        "spec.bitbucketserver.{*}.checkInterval",
        "the webhook is checked every ten minutes",
    ),
    supported("spec.bitbucketserver.{*}.tls.**"),
    supported_note(
        "spec.bitbucketserver.{*}.skipBranchRefsChangedOnOpenPR",
        "with accessToken; a push that the server cannot be asked about is answered with 502",
    ),
];

pub(super) const GERRIT: &[Field] = &[
    supported_note("spec.gerrit.{*}.events[]", "all when absent"),
    supported("spec.gerrit.{*}.hookName"),
    supported("spec.gerrit.{*}.projects[]"),
    supported_note("spec.gerrit.{*}.gerritBaseURL", "with the plugin webhooks"),
    supported("spec.gerrit.{*}.sslVerify"),
    supported_note("spec.gerrit.{*}.auth.**", REGISTERED),
    supported_note("spec.gerrit.{*}.deleteHookOnFinish", REMOVED),
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
    supported_note(
        "spec.stripe.{*}.apiKey.**",
        "with createWebhook and webhook.url",
    ),
    supported_note(
        "spec.stripe.{*}.createWebhook",
        "one that calls the URL is kept; it stays when the EventSource is deleted, as upstream",
    ),
];

pub(super) const STORAGE_GRID: &[Field] = &[
    supported("spec.storageGrid.{*}.filter.prefix"),
    supported("spec.storageGrid.{*}.filter.suffix"),
    supported_note(
        "spec.storageGrid.{*}.topicArn",
        "the URN of the endpoint, which is created where it is missing",
    ),
    supported("spec.storageGrid.{*}.bucket"),
    supported("spec.storageGrid.{*}.events[]"),
    reported("spec.storageGrid.{*}.region", "without effect upstream too"),
    supported("spec.storageGrid.{*}.apiURL"),
    supported_note(
        "spec.storageGrid.{*}.authToken.**",
        "with webhook.url endpoint and notifications are set up; they stay when the EventSource is deleted, as upstream",
    ),
];

pub(super) const SNS: &[Field] = &[
    supported_note(
        "spec.sns.{*}.topicArn",
        "messages of other topics are refused",
    ),
    supported("spec.sns.{*}.region"),
    supported_note("spec.sns.{*}.endpoint", "where subscriptions are confirmed"),
    supported_note("spec.sns.{*}.validateSignature", "SignatureVersion 1 and 2"),
    supported_note("spec.sns.{*}.accessKey.**", SUBSCRIBED),
    supported_note("spec.sns.{*}.secretKey.**", SUBSCRIBED),
    supported_note("spec.sns.{*}.roleARN", "assumed with the keys"),
];
