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
		{"2 + 2 = ", "4", true},
		{"Answer: ", "21", true},
		{"item", "1", false},
		{"हिन्द", "ी", true},
		{"हिन्दी", "में", true},
		{"A:\n", "\nB", true},
		{"A:\n", "  \n B", true},
		{"A:\r", "\nB", true},
		{"A:\n", " B", false},
		{"A:\n", "B", false},
		{"Question?\nAnswer:\n", " yes it is", false},
		{"def f(x):\n", "    return x", false},
		{"A:", "\nB", true},
		{"def f(x):", "\n    return", true},
		{"number 1.", "\n\nOnce", true},
		{"A:", " \nB", false},
		{"word", "\nB", false},
		{"A\t", "B", true},
		{"A\t", "\tB", true},
		{"A\t", "1", false},
		{"A", "\tB", false},
		{"is", " Paris", false},
		{"is", "  Paris", false},
		{"is:", " Paris", false},
		{"is", " 4", false},
		{"is", ".", false},
		{"2+2=", "4", false},
		{"(", "x)", true},
		{"x.", "append(1)", true},
		{"print(", "\"hello\")", true},
		{"😀", "😀", true},
		{"", "x", false},
		{"", " x", false},
	} {
		if got := straddles(test.input, test.target); got != test.want {
			t.Errorf("%q and %q: %v", test.input, test.target, got)
		}
	}
}

// Extractive tasks and lists of answers are not taken for inputs that give their targets away.
func TestLeaks(t *testing.T) {
	passage := "The keeper lights the lamp of the northern tower at seven in the evening, and the ferry leaves at nine. "
	long := strings.Repeat("All the boats are in the harbor now. ", 8)
	for _, test := range []struct {
		what, input, target string
		want                leak
	}{
		{"an answer from a passage", passage + "When does the keeper light the lamp?\nAnswer:", " at seven in the evening", notGiven},
		{"a question before its passage", "Which tower?\n" + passage + "\nAnswer:", " the lamp of the northern tower", notGiven},
		{"a long target at the end", "Question?\nAnswer: at seven in the evening", " at seven in the evening", maybeGiven},
		{"a long target before an end of turn", passage + "\nat seven in the evening<|im_end|>\n", "at seven in the evening", maybeGiven},
		{"the last of the possible answers", "When?\nA. at noon\nB. at seven in the evening\nAnswer:", " at seven in the evening", maybeGiven},
		{"the end of a passage", passage + "\nQ: when?\nA:", "the ferry leaves at nine", maybeGiven},
		{"a sentence that needs no correction", "Correct: " + passage + "\nCorrected:", passage, maybeGiven},
		{"most of the input", "<b>" + passage + "</b> is the whole of this text.", passage, maybeGiven},
		{"a very long target", passage + long + strings.Repeat(passage, 6), long, given},
		{"a very long target at the end", passage + long, long, given},
		{"a short target at the end", "It is 4", " 4", maybeGiven},
		{"a short target elsewhere", "4 is it", "4", notGiven},
		{"only white space", "a ", "\n ", notGiven},
		{"no input", "", "x", notGiven},
	} {
		if got := leakOf(test.input, test.target); got != test.want {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
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
		"<s>[SYSTEM_PROMPT]Be kind.[/SYSTEM_PROMPT][INST]Hi[/INST]Hello":  "Llama 2 and Mistral",
		"the token [INST] alone":                                          "",
		"the tokens [INST] and [/INST]":                                   "",
		"<bos><start_of_turn>user\nHi<end_of_turn>":                       "Gemma",
		"<|start|>user<|message|>Hi<|end|>":                               "Harmony",
		"<|header_start|>user<|header_end|>\n\nHi<|eot|>":                 "Llama 4",
		"<|im_user|>user<|im_middle|>Hi<|im_end|>":                        "Kimi",
		"\ufeff<|im_start|>user\nHi<|im_end|>":                            "ChatML",
		"\n\ufeff\nUser: Hi\nAssistant: Hello":                            "User and Assistant",
		"<|user|>\nHi</s>\n<|assistant|>\nHey":                            "Zephyr, Phi and GLM",
		"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi<|END_OF_TURN_TOKEN|>":    "Command",
		"<｜User｜>Hi<｜Assistant｜>Hello":                                    "DeepSeek",
		"<｜begin▁of▁sentence｜>Be kind.<｜User｜>Hi<｜Assistant｜>Hello":       "DeepSeek",
		"### Instruction:\nAdd.\n\n### Response:\n4":                      "Alpaca",
		"### Human: Hi\n### Assistant: Hello":                             "Guanaco",
		"Be kind. USER: Hi ASSISTANT: Hello</s>":                          "Vicuna",
		"Be kind.\n\nUSER: Hi\nASSISTANT: Hello":                          "Vicuna",
		"Human: Hi\n\nAssistant: Hello":                                   "Human and Assistant",
		"\n\nHuman: Hi\n\nAssistant: Hello":                               "Human and Assistant",
		"User: Hi\nAssistant: Hello":                                      "User and Assistant",
		"System: Be kind.\nUser: Hi\nAssistant: Hello":                    "User and Assistant",
		"Be kind.\nUser: Hi\nAssistant: Hello\nUser: Bye":                 "User and Assistant",
		"A human: weak.\nHer assistant: strong.":                          "",
		"Said the Human: no.\nAssistant: yes.":                            "",
		"User: root\nHost: here":                                          "",
		"":                                                                "",

		"<|im_system|>system<|im_middle|>Be kind.<|im_end|><|im_user|>user<|im_middle|>Hi<|im_end|>": "Kimi",
		"<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|>":                           "Llama 4",

		"A page mentions <|im_start|> once among prose.":                                          "",
		"Turns begin with <|im_start|> and end with <|im_end|>.":                                  "",
		"<|im_start|> begins a turn.":                                                             "",
		"Terms\n\nUser: a person who asks.\nAssistant: a program that answers.\nHost: a machine.": "",
		"Assistant: a program that answers.\nUser: a person who asks.":                            "",
		"The tokens `<|im_user|>` and `<|im_middle|>` are those of Kimi.":                         "",
		"The tokens `<|header_start|>` and `<|header_end|>` enclose a role.":                      "",
		"User: a person who asks.\nAssistant: a program that answers.\nHost: a machine.":          "",
		"User: one who asks.\nWeb server: a program.\nAssistant: a program that answers.":         "",
		"User: Hi\nAssistant: Here:\nNote: no.\nUser: Why?\nAssistant: So.":                       "User and Assistant",
		"User: Note: it is late.\nAssistant: The time: ten.\n9: no\nof course: no":                "User and Assistant",
		"User:Note: it is late.\nAssistant:\nwell: no":                                            "User and Assistant",
		"User: Hi\nAssistant: Hello\n\nNOTE:":                                                     "",
		"User: Hi\nAssistant: Hello\nÉté:":                                                        "User and Assistant",
		"User: Hi\nAssistant: Hello\nÉ: or\nno":                                                   "",
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

// A text is read up to the first line that shows it to be a list of terms, and matches are not kept.
func TestFramingStops(t *testing.T) {
	list := "User: a\nAssistant: b\n" + strings.Repeat("\nNOTE:", 10_000)
	answers := "User: a\n" + strings.Repeat("\nAssistant: b", 10_000)
	for _, test := range []struct {
		what, text string
		framed     bool
	}{{"a list of terms", list, false}, {"answers", answers, true}} {
		if got := framing(test.text) != nil; got != test.framed {
			t.Errorf("%s: framed %v, want %v", test.what, got, test.framed)
		}
		if n := testing.AllocsPerRun(10, func() { framing(test.text) }); n > 20 {
			t.Errorf("%s: %v allocations", test.what, n)
		}
	}
}

func BenchmarkFraming(b *testing.B) {
	text := "User: a\nAssistant: b\n" + strings.Repeat("\nNOTE:", 170_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		framing(text)
	}
}
