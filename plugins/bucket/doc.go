// Package bucket opens buckets by URL, s3://BUCKET?OPTIONS or gs://BUCKET?OPTIONS, and decides which options a URL may have
// and where credentials may go. The providers of files open what a spec names with FromSpec, the runner's store what the
// user names with FromUser.
//
// # What a spec may say
//
// A spec may be a stranger's. Its URLs have no option that names a file, a profile or a role of this machine. An endpoint
// that only a spec names gets no credentials: the URL says anonymous=true, or the user allows the endpoint in the
// environment, as one of the comma-separated HOST or HOST:PORT in SURPRISAL_ENDPOINTS, or as AWS_ENDPOINT_URL or
// AWS_ENDPOINT_URL_S3. A HOST without a port allows all its ports.
//
// It imports plugins/protocol and gocloud.dev.
package bucket
