package protocol

import (
	"encoding/json"
	"testing"
)

func TestVisibleJSON(t *testing.T) {
	for text, want := range map[string]string{
		"plain ☃":       "{\n \"a\":\"plain ☃\"}",
		"a\x7f\u0085b":  "{\n \"a\":\"a\\u007f\\u0085b\"}",
		"\u202ex\u2066": "{\n \"a\":\"\\u202ex\\u2066\"}",
		"\U000e0001":    "{\n \"a\":\"\\udb40\\udc01\"}",
	} {
		got := VisibleJSON([]byte("{\n \"a\":\"" + text + "\"}"))
		var v map[string]string
		if err := json.Unmarshal(got, &v); err != nil || string(got) != want || v["a"] != text {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	// Invalid UTF-8 is not repaired.
	if got, want := string(VisibleJSON([]byte("\"\xff\ufffd\u202e\""))), "\"\xff\ufffd\\u202e\""; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
