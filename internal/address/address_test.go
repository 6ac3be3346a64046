package address

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for address, want := range map[string]string{
		"s3://AKIA:SeKrEt@bucket/key":                 "s3://...",
		"s3://AKIA:SeK/rEt@bucket/key":                "s3://...",
		"s3://AKIA:SeK?rEt@bucket/key":                "s3://...",
		"s3://AKIA:SeK#rEt@bucket/key":                "s3://...",
		"s3://AKIA:SeK rEt@bucket/key":                "s3://...",
		"s3://AKIA:SeKrEt/bucket/key":                 "s3://...",
		"s3://AKIA%3ASeKrEt%40bucket/key":             "s3://...",
		"s3://SeKrEt@bucket/key":                      "s3://...",
		"s3://bucket/AKIA:SeKrEt@x/key":               "s3://...",
		"s3://bucket/key?secret=SeKrEt":               "s3://...",
		"s3:///SeKrEt@bucket/key":                     "s3://...",
		"s3://bucket/key?SeKrEt":                      "s3://...",
		"S3://AKIA:SeKrEt@bucket/key":                 "S3://...",
		" s3://AKIA:SeKrEt@bucket/key":                " s3://...",
		"https://AKIA:SeKrEt@bucket.s3.amazonaws.com": "https://...",
		"https://bucket/key?X-Amz-Signature=SeKrEt":   "https://...",
		"AKIA:SeKrEt@s3://bucket/key":                 "...",
		"AKIA:SeKrEt://x":                             "...",
		"s3:/AKIA:SeKrEt@bucket/key":                  "...",
		"s3//AKIA:SeKrEt@bucket/key":                  "...",
		"s3//SeKrEt@bucket":                           "...",
		"s3:/SeKrEt@bucket":                           "...",
		"s3//bucket?secret=SeKrEt":                    "...",
		"s3//bucket/key":                              "s3//bucket/key",
		"s3:AKIA:SeKrEt@bucket":                       "...",
		"AKIA:SeKrEt@bucket/key":                      "...",
		"s3":                                          "s3",
		"s3://bucket/a@2/*.jsonl":                     "s3://bucket/a@2/*.jsonl",
		"s3://Buck et/a:b":                            "s3://Buck et/a:b",
		"ftp://example.org/a.txt":                     "ftp://example.org/a.txt",
		"file:///data/a@b/c%20d.txt":                  "file:///data/a@b/c%20d.txt",
		"s3://":                                       "s3://",
		"://":                                         "://",
		"":                                            "",
		"data/12:30/user@host?.txt":                   "...",
		"data/user@host/12:30?.txt":                   "data/user@host/12:30?.txt",
	} {
		if got := Printable(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestMistyped(t *testing.T) {
	for want, addresses := range map[string][]string{
		"s3://":    {"s3//KEY@b", "s3:/b/k", "s3:b/k", "s3:", "s3:/", "S3;//b", "s3.//b", `s3:\\b`},
		"gs://":    {" gs//b", "gs:b"},
		"file:///": {"file//x", "file:/x/y"},
		"https://": {"https:/x"},
		"http://":  {"http//x"},
		"mem://":   {"mem:"},
		"": {
			"s3://b/k", "file:///x", "s3/b", "s3", "gs.txt", "s3x//b", "./s3//b", "/s3//b", "data//x", "a:b.txt", "files//x", "s3-data/x:y", "",
			"ftp://x",
		},
	} {
		for _, address := range addresses {
			if got := Mistyped(address); got != want {
				t.Errorf("%q: %q, want %q", address, got, want)
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("s3", "AKIA", "SeKrEt", "bucket/key")
	f.Add("s3", "a", "b/c", "/?x")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		if strings.Contains(scheme, "://") || strings.HasSuffix(scheme, ":") {
			return
		}
		const secret = "\x00SeKrEt\x00"
		addresses := []string{scheme + "://" + user + ":" + password + secret + "@" + rest, scheme + "://" + rest + "?" + secret}
		// With a slash before the user this is a URL, whose key may have "@".
		if !strings.HasPrefix(user, "/") {
			addresses = append(addresses, scheme+":/"+user+secret+"@"+rest)
		}
		for _, address := range addresses {
			if got := Printable(address); strings.Contains(got, secret) {
				t.Errorf("%q: %q", address, got)
			}
		}
	})
}

func TestCause(t *testing.T) {
	text := `open bucket s3://b?SeKrEt: invalid port ":SeK\"rEt" after role long-name: unknown "SeKrEt"`
	if got, want := Cause(text, "s3://b?SeKrEt", "", "long-name"), `open bucket ...: invalid port "..." after role ...: unknown "..."`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
