package bucket

import (
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

func TestParse(t *testing.T) {
	for _, good := range []struct {
		address string
		want    Location
	}{
		{"s3://bucket/key", Location{"s3", "bucket", "key", ""}},
		{"gs://bucket/a/**/b@1..2.txt", Location{"gs", "bucket", "a/**/b@1..2.txt", ""}},
		{"s3://bucket/a//b?region=eu-west-1&endpoint=http://host", Location{"s3", "bucket", "a//b", "region=eu-west-1&endpoint=http://host"}},
	} {
		if got, err := Parse(good.address); err != nil || got != good.want {
			t.Errorf("%s: %+v, %v", good.address, got, err)
		}
	}
	for address, want := range map[string]string{
		"s3://":                            `path "s3://": expected s3://BUCKET/KEY`,
		"s3:///key":                        `path "s3:///key": expected s3://BUCKET/KEY`,
		"s3://bucket":                      `path "s3://bucket": expected s3://BUCKET/KEY`,
		"s3://bucket/":                     `path "s3://bucket/": expected s3://BUCKET/KEY`,
		"s3://bucket/a/":                   "does not end with a slash",
		"s3://Buck et/key":                 "s3://Buck et: invalid bucket name: use letters",
		"s3://user:secret@bucket/key":      `path "s3://...": the URL has credentials`,
		"s3://user:sec/ret@bucket/key":     `path "s3://...": the URL has credentials`,
		"s3://user:a@bucket/key?x=secret":  `path "s3://...": the URL has credentials`,
		"s3://user:a@bucket/key?x=sec@ret": `path "s3://...": the URL has credentials`,
		"s3://user:sec?ret@bucket/key":     `path "s3://...": the URL has credentials`,
		"s3://user:secret/bucket/key":      "s3://...: invalid bucket name: use letters",
		"s3://user%3Asecret/bucket/key":    "s3://...: invalid bucket name: use letters",
		"S3://user:sec@bucket/key":         `path "S3://...": the URL has credentials`,
		"https://bucket/key?signature=sec": `unknown scheme "https"`,
		"s3://bucket/key?versionId=1":      "an option is not allowed",
		"s3://bucket/key?versionId=%zz":    "malformed options",
		"gs://b/../etc/passwd":             `the key has a part "." or ".."`,
		"s3://bucket/a/./b":                `the key has a part "." or ".."`,
		"ftp://bucket/key":                 `unknown scheme "ftp"`,
	} {
		_, err := Parse(address)
		if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if got, err := ParseDirectory("s3://bucket/a/"); err != nil || got.Key != "a/" {
		t.Errorf("a directory: %+v, %v", got, err)
	}
}

// No address makes Parse accept a bucket or a key that leads elsewhere.
func FuzzParse(f *testing.F) {
	for _, address := range []string{"s3://bucket/key?region=a", "gs://a:b@c/../d", "://", "s3://a/?", "s3://a/b/@:"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		l, err := Parse(address)
		if err != nil {
			return
		}
		if again, err := Parse(l.Where() + "/" + l.Key + "?" + l.Options); err != nil || again != l {
			t.Errorf("%q: %+v, then %+v, %v", address, l, again, err)
		}
		if strings.ContainsAny(l.Name, ":@/ ") || strings.Contains("/"+l.Key+"/", "/../") {
			t.Errorf("%q: %+v", address, l)
		}
	})
}
