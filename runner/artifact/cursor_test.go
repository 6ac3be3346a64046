package artifact

import (
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// A page with indexes outside its dictionary is rejected. The last entry is inside.
func TestDictionaryIndexes(t *testing.T) {
	values := []int32{10, 20, 30}
	dictionary := parquet.Int32Type.NewDictionary(0, len(values), encoding.Int32Values(values))
	for _, test := range []struct {
		index int32
		want  string
	}{{2, ""}, {3, "index 3 is outside a dictionary of 3 values"}, {-1, "index -1 is outside a dictionary of 3 values"}} {
		c := &cursor{want: column{"c", "int32"}}
		page := dictionary.Type().NewPage(0, 2, encoding.Int32Values([]int32{0, test.index}))
		err := guard(func() error { return c.take(page) })
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("index %d: got error %v, want %q", test.index, err, test.want)
		}
	}
}
