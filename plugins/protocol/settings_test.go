package protocol

import (
	"encoding/json"
	"testing"
)

func TestWithoutSettings(t *testing.T) {
	for _, test := range []struct {
		config string
		names  []string
		want   string
	}{
		{`{"a":1,"threads":4,"z":2}`, []string{"threads"}, `{"a":1,"z":2}`},
		{`{"threads":4,"z":2}`, []string{"threads"}, `{"z":2}`},
		{`{"a":1,"threads":4}`, []string{"threads", "missing"}, `{"a":1}`},
		{`{"threads":4}`, []string{"threads"}, `{}`},
		{`{}`, []string{"threads"}, `{}`},
		{`{"a":1.0e3,"b":"é\u2028<","c":[1,{"threads":2}]}`, []string{"threads"}, `{"a":1.0e3,"b":"é\u2028<","c":[1,{"threads":2}]}`},
		{`{"batch":{"size":3,"tokens":5},"c":{"tokens":5}}`, []string{"batch.tokens"}, `{"batch":{"size":3},"c":{"tokens":5}}`},
		{`{"batch":{"tokens":5}}`, []string{"batch.tokens"}, `{"batch":{}}`},
		{`{"batch":{"tokens":5},"batches":1}`, []string{"batch"}, `{"batches":1}`},
		{`{"batch":7}`, []string{"batch.tokens"}, `{"batch":7}`},
		{`{"batch":[7]}`, []string{"batch.tokens"}, `{"batch":[7]}`},
		{" { \"a\" : 1 ,\n\"b\" : { \"c\" : 2 , \"d\" : 3 } } ", []string{"b.c"}, `{"a":1,"b":{"d":3}}`},
		{`{"a":"{,:}"}`, nil, `{"a":"{,:}"}`},
		{`{"a\u0062":1,"c":2}`, []string{"ab"}, `{"c":2}`},
	} {
		got, err := WithoutSettings(json.RawMessage(test.config), test.names)
		if err != nil || string(got) != test.want {
			t.Errorf("%s without %q: %s, %v; want %s", test.config, test.names, got, err, test.want)
		}
	}
	for _, config := range []string{``, `[]`, `"x"`, `1`, `null`, `{`, `{} {}`, `{"a":}`} {
		if got, err := WithoutSettings(json.RawMessage(config), []string{"a"}); KindOf(err) != InvalidInput {
			t.Errorf("%q gave %s, %v", config, got, err)
		}
	}
}
