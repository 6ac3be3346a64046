// Package address decides how addresses of data are printed, and finds mistyped URLs. A path in a spec, or a location on
// the command line, may have a secret: a key before "@", or an option such as the signature of a presigned URL. Messages
// end up in logs that more people read.
package address

import (
	"regexp"
	"strings"
)

// schemePattern matches what can be a scheme. Blanks around it are a frequent mistake, and worth showing.
var schemePattern = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9+.-]*\s*$`)

// Printable returns address for a message. If it has options, credentials, or what may be credentials in a mistyped URL,
// Printable returns its scheme and "://...", or "..." if there is none.
func Printable(address string) string {
	scheme, rest, isURL := strings.Cut(address, "://")
	authority, _, _ := strings.Cut(rest, "/")
	switch {
	case !isURL && !mayHaveCredentials(address) && (Mistyped(address) == "" || !strings.ContainsAny(address, "@?%")):
		return address
	case isURL && !strings.ContainsAny(scheme, ":@") && !strings.ContainsAny(authority, "@:%") &&
		!strings.Contains(rest, "?") && !mayHaveCredentials(rest) && (authority != "" || scheme == "file" || !strings.Contains(rest, "@")):
		return address
	case isURL && schemePattern.MatchString(scheme):
		return scheme + "://..."
	}
	return "..."
}

// mistyped matches the beginning of a URL of a known scheme without exactly "://" after it, as in s3//bucket, s3:/bucket,
// and s3:bucket.
var mistyped = regexp.MustCompile(`^\s*(?i:(s3|gs|file|mem|https?))(?:[;.,]?//|:\\|[:;]/?(?:$|[^/]))`)

// Mistyped returns how the URL begins that address is most likely meant to be, such as "s3://", or "" if it is a URL or a
// path. A path of a directory with such a name is told from a URL by "./" before it.
func Mistyped(address string) string {
	if strings.Contains(address, "://") {
		return ""
	}
	found := mistyped.FindStringSubmatch(address)
	if found == nil {
		return ""
	}
	scheme := strings.ToLower(found[1])
	if scheme == "file" {
		return "file:///"
	}
	return scheme + "://"
}

// mayHaveCredentials reports whether a part of a URL has the form USER:PASSWORD@HOST. Passwords may have any character.
func mayHaveCredentials(part string) bool {
	_, password, found := strings.Cut(part, ":")
	return found && strings.Contains(password, "@")
}

// quoted matches text in quotation marks, as the verb %q prints it.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// Cause returns the text of an error for a message without the secrets, which are parts of an address, and without what is
// in quotation marks, which may be another part.
func Cause(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "...")
		}
	}
	return quoted.ReplaceAllString(text, `"..."`)
}
