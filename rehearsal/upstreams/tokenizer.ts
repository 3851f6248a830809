/** The five files that A1111 asks Hugging Face for, as small stand-ins in the real ones' form. */
export function tokenizerFiles(): Record<string, string> {
  const letters = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
  const words = ["<|startoftext|>", "<|endoftext|>"];
  const merges = ["c a", "d o", "ca t</w>", "do g</w>", "t h", "th e</w>"];
  const vocabulary = [
    ...letters,
    ...letters.map((letter) => `${letter}</w>`),
    ...merges.map((pair) => pair.replace(" ", "")),
    ...words,
  ];
  const special = (content: string) => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const tokens = {
    bos_token: special("<|startoftext|>"),
    eos_token: special("<|endoftext|>"),
    unk_token: special("<|endoftext|>"),
    pad_token: "<|endoftext|>",
  };
  return {
    "vocab.json": JSON.stringify(Object.fromEntries(vocabulary.map((word, index) => [word, index]))),
    "merges.txt": `#version: 0.2 - REHEARSAL\n${merges.join("\n")}\n`,
    "special_tokens_map.json": JSON.stringify(tokens),
    "tokenizer_config.json": JSON.stringify({
      ...tokens,
      add_prefix_space: false,
      do_lower_case: true,
      model_max_length: 77,
      rehearsal: "REHEARSAL: a stand-in, not the vocabulary of CLIP",
      tokenizer_class: "CLIPTokenizer",
    }),
    "config.json": JSON.stringify({
      _name_or_path: "clip-vit-large-patch14/",
      model_type: "clip",
      rehearsal: "REHEARSAL",
    }),
  };
}
