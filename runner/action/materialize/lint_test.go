package materialize

import (
	"strings"
	"testing"
)

func TestStraddles(t *testing.T) {
	for _, test := range []struct {
		input, target string
		want          bool
	}{
		{"is Par", "is", true},
		{"number 4", "2", true},
		{"déj", "à vu", true},
		{"答案是", "巴黎", true},
		{"is ", "Paris", true},
		{"is ", " Paris", true},
		{"list: ", "- a", true},
		{"2 + 2 = ", "4", false},
		{"item", "1", false},
		{"A:\n", "\nB", true},
		{"A:\n", " B", true},
		{"A:\n", "B", false},
		{"A\t", "B", false},
		{"is", " Paris", false},
		{"2+2=", "4", false},
		{"(", "x)", false},
		{"", "x", false},
		{"", " x", false},
	} {
		if got := straddles(test.input, test.target); got != test.want {
			t.Errorf("%q and %q: %v", test.input, test.target, got)
		}
	}
}

// The text around the end of an input is short, and no character is divided.
func TestSeam(t *testing.T) {
	got := seam(strings.Repeat("é", 20)+"x", "y"+strings.Repeat("é", 20))
	if want := `"éééééx" + "yééééé"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := seam("a\x1b", "b"); got != `"a\x1b" + "b"` {
		t.Errorf("control characters are printed: %s", got)
	}
}

func TestFraming(t *testing.T) {
	for text, want := range map[string]string{
		"<|im_start|>user\nHi<|im_end|>":                                  "ChatML",
		"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi": "Llama 3",
		"<s>[INST] Hi [/INST] Hello":                                      "Llama 2 and Mistral",
		"the token [INST] alone":                                          "",
		"<bos><start_of_turn>user\nHi":                                    "Gemma",
		"<|start|>user<|message|>Hi<|end|>":                               "Harmony",
		"<|user|>\nHi</s>\n<|assistant|>\nHey":                            "Zephyr, Phi and GLM",
		"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>":                           "Command",
		"<｜User｜>Hi<｜Assistant｜>Hello":                                    "DeepSeek",
		"### Instruction:\nAdd.\n\n### Response:\n4":                      "Alpaca",
		"Human: Hi\n\nAssistant: Hello":                                   "Human and Assistant",
		"User: Hi\nAssistant: Hello":                                      "User and Assistant",
		"A human: weak.\nHer assistant: strong.":                          "",
		"Said the Human: no.\nAssistant: yes.":                            "",
		"User: root\nHost: here":                                          "",
		"":                                                                "",
	} {
		got := ""
		if f := framing(text); f != nil {
			got = f.name
		}
		if got != want {
			t.Errorf("%q: template %q, want %q", text, got, want)
		}
	}
}
