package host

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Bounds for what a plugin sends about itself and for what it requests. All are far above what plugins need.
const (
	maxNameBytes   = 200
	maxSchemaBytes = 1 << 20
	maxNames       = 100 // of variables, capabilities, settings or compute components
	maxPathBytes   = 4096
	// maxQuantity bounds sizes and counts, so that sums of several thousand of them do not overflow.
	maxQuantity = 1 << 50
	// maxFactor bounds the factor by which a size of up to a terabyte is multiplied, so that the product does not
	// overflow.
	maxFactor  = 1 << 20
	maxDevices = 1 << 16
	maxSites   = 1 << 14
)

var (
	digestPattern   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	fieldPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	devicePattern   = regexp.MustCompile(`^[a-z][a-z0-9_]*(:[0-9]+)?$`)
	dtypePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// line rejects text that is empty, too long or not a single line of visible characters.
func line(what, text string) error {
	if text == "" || len(text) > maxNameBytes || protocol.Visible(text) != text {
		return fmt.Errorf("%s is %.200q; it must be one line of 1 to %d bytes", what, text, maxNameBytes)
	}
	return nil
}

// names rejects lists that are too long or contain an entry that does not match pattern.
func names(what string, list []string, pattern *regexp.Regexp) error {
	if len(list) > maxNames {
		plural := what + "s"
		if stem, ok := strings.CutSuffix(what, "y"); ok {
			plural = stem + "ies"
		}
		return fmt.Errorf("it names %d %s; it may name %d", len(list), plural, maxNames)
	}
	for _, name := range list {
		if len(name) > maxNameBytes || !pattern.MatchString(name) {
			return fmt.Errorf("it names the %s %.200q; a %s matches %s", what, name, what, pattern)
		}
	}
	return nil
}

func quantity(what string, n, most int64) error {
	if n < 0 || n > most {
		return fmt.Errorf("%s is %d; it must be between 0 and %d", what, n, most)
	}
	return nil
}

func number(what string, x float64) error {
	if !(x >= 0 && x <= math.MaxFloat64) {
		return fmt.Errorf("%s is %v; it must be a finite number of at least 0", what, x)
	}
	return nil
}

// factor checks a number by which sizes are multiplied.
func factor(what string, x float64) error {
	if !(x >= 0 && x <= maxFactor) {
		return fmt.Errorf("%s is %v; it must be at least 0 and at most %d", what, x, maxFactor)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

func checkDescription(i Info) error {
	if !pluginName.MatchString(i.Name) || len(i.Name) > maxNameBytes {
		return fmt.Errorf("it calls itself %.200q; a plugin's name consists of letters, digits, '_', '-' and '.'", i.Name)
	}
	if len(i.Schema) > maxSchemaBytes {
		return fmt.Errorf("its schema has %d bytes; it may have %d", len(i.Schema), maxSchemaBytes)
	}
	return first(
		line("its version", i.Version),
		names("environment variable", i.Environment, variablePattern),
		names("capability", i.Capabilities, fieldPattern),
		names("neutral setting", i.NeutralSettings, fieldPattern),
	)
}

func checkResolution(r protocol.Resolution) error {
	if !json.Valid(r.Parameters) {
		return fmt.Errorf("the parameters are not JSON: %.200q", r.Parameters)
	}
	if len(r.Revision) > maxNameBytes || protocol.Visible(r.Revision) != r.Revision {
		return fmt.Errorf("the revision is %.200q; it must be one line of at most %d bytes", r.Revision, maxNameBytes)
	}
	if len(r.Files) == 0 {
		return fmt.Errorf("it lists no files; a source that has none is an error of kind %q", protocol.InvalidInput)
	}
	seen := make(map[string]bool, len(r.Files))
	for i, f := range r.Files {
		switch {
		case f.Name == "" || len(f.Name) > maxPathBytes:
			return fmt.Errorf("file %d has a name of %d bytes; it must have 1 to %d", i, len(f.Name), maxPathBytes)
		case seen[f.Name]:
			return fmt.Errorf("it lists the duplicate file %.200q", f.Name)
		case !digestPattern.MatchString(f.Digest):
			return fmt.Errorf("the digest of file %.200q is %.200q; it must be \"sha256:\" and 64 hex digits", f.Name, f.Digest)
		case f.Bytes < 0:
			return fmt.Errorf("the size of file %.200q is %d bytes", f.Name, f.Bytes)
		}
		seen[f.Name] = true
	}
	return nil
}

func checkEstimate(e protocol.Estimate) error {
	if e.DeviceMemoryBytes > 0 && e.Devices == 0 {
		return fmt.Errorf("it expects %d bytes of device memory but no devices", e.DeviceMemoryBytes)
	}
	return first(
		quantity("the number of parameters", e.Parameters, maxQuantity),
		quantity("the number of parameters that a token uses", e.ActiveParameters, e.Parameters),
		quantity("the size of the weights in bytes", e.WeightBytes, maxQuantity),
		quantity("the memory in bytes", e.MemoryBytes, maxQuantity),
		quantity("the memory of devices in bytes", e.DeviceMemoryBytes, maxQuantity),
		quantity("the number of devices", e.Devices, maxDevices),
		quantity("the size of a window", e.Context, maxQuantity),
		number("the number of operations per token", e.FLOPsPerToken),
		number("the number of bytes per token", e.BytesPerToken),
		factor("the memory of training per byte of text", e.TrainingMemoryPerByte),
		factor("the memory of a model per byte of its training text", e.MemoryPerTrainingByte),
	)
}

func checkLoaded(handle string, m protocol.LoadedModel) error {
	if len(m.Computed) > maxNames {
		return fmt.Errorf("it names %d compute components; it may name %d", len(m.Computed), maxNames)
	}
	for name, value := range m.Computed {
		if err := first(line("the name of a compute component", name), line("the compute component "+name, value)); err != nil {
			return err
		}
	}
	if m.Arithmetic != "" {
		if err := line("the arithmetic", m.Arithmetic); err != nil {
			return err
		}
	}
	if !devicePattern.MatchString(m.Device) || len(m.Device) > maxNameBytes {
		return fmt.Errorf(`the device is %.200q; it must be like "cpu" or "cuda:1"`, m.Device)
	}
	if !dtypePattern.MatchString(m.Dtype) || len(m.Dtype) > maxNameBytes {
		return fmt.Errorf(`the dtype is %.200q; it must be like "float32" or "q4_1"`, m.Dtype)
	}
	if len(m.Sites) > maxSites {
		return fmt.Errorf("it names %d sites of activations; it may name %d", len(m.Sites), maxSites)
	}
	for i, site := range m.Sites {
		if err := line(fmt.Sprintf("the name of site %d", i), site); err != nil {
			return err
		}
	}
	if (len(m.Sites) > 0) != (m.HiddenSize > 0) {
		return fmt.Errorf("it has %d sites of activations and a hidden size of %d; one is 0 exactly if the other is", len(m.Sites), m.HiddenSize)
	}
	return first(
		quantity("the hidden size", m.HiddenSize, math.MaxInt32),
		line("the model's handle", handle),
		quantity("the maximum context length in tokens", m.ContextLimit, maxQuantity),
		quantity("the size of the vocabulary", m.VocabularySize, math.MaxInt32),
	)
}

// rowCheck checks the rows of one read, across all the streams that the read needs.
type rowCheck struct {
	request protocol.ReadRequest
	next    int64 // the ordinal of the next row
	file    int   // of the previous row, among the files of the resolution
	shard   string
	number  int64 // of the previous row in shard
	seen    bool
}

func (c *rowCheck) check(r protocol.Row) error {
	if to := c.request.To; r.Ordinal != c.next || to != 0 && c.next >= to {
		return fmt.Errorf("it sent row %d of shard %.200q, expected row %d of [%d, %d)", r.Ordinal, r.Shard, c.next, c.request.From, to)
	}
	if n := c.request.Values(); r.Problem == "" && len(r.Values) != n {
		why := ""
		if c.request.Cluster != "" && len(r.Values) == n-1 {
			why = "; it does not read the field of a cluster: remove cluster from the dataset, or update the provider"
		}
		return fmt.Errorf("row %d of shard %.200q has %d values for %d fields%s", r.Ordinal, r.Shard, len(r.Values), n, why)
	}
	if files := c.request.Pinned.Files; len(files) > 0 {
		i := slices.IndexFunc(files[c.file:], func(f protocol.File) bool { return f.Name == r.Shard })
		if i < 0 {
			return fmt.Errorf("row %d belongs to shard %.200q, which is not a file of the source or precedes the shard of the previous row",
				r.Ordinal, r.Shard)
		}
		c.file += i
	}
	due := int64(0)
	switch {
	case c.seen && r.Shard == c.shard:
		due = c.number + 1
	case !c.seen && c.request.From > 0:
		due = max(r.Number, 0) // the read may start anywhere in a shard
	}
	if r.Number != due {
		return fmt.Errorf("row %d has the number %d in shard %.200q, expected %d", r.Ordinal, r.Number, r.Shard, due)
	}
	c.shard, c.number, c.seen = r.Shard, r.Number, true
	c.next++
	return nil
}
