// Package bucket opens buckets by URL, s3://BUCKET?OPTIONS or gs://BUCKET?OPTIONS. It decides which options a URL may
// have and to which endpoints credentials may go. The file providers open a spec's URLs with FromSpec; the runner's
// store opens the user's URLs with FromUser.
//
// # URLs of specs
//
// A spec may be untrusted. Its URLs cannot have options that name a file, a profile or a role of this machine. An
// endpoint that only a spec names gets no credentials. Either the URL has anonymous=true, or the user allows the
// endpoint in the environment: as one of the comma-separated HOST or HOST:PORT in SURPRISAL_ENDPOINTS, or as
// AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3. A HOST without a port allows all its ports.
//
// It imports plugins/protocol and gocloud.dev.
package bucket
