import { createCipheriv, createHash } from "node:crypto";
import { crc32 } from "node:zlib";

/** Bytes that look like noise, and are the same on every machine. */
function noise(seed: string, bytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

type Tensors = Record<string, number[]>;

/** A few tensors under the names that Stable Diffusion 1.5 has, most of them smaller. */
const tensors: Tensors = {
  "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": [77, 768],
  "cond_stage_model.transformer.text_model.final_layer_norm.weight": [768],
  "first_stage_model.decoder.conv_out.weight": [3, 128, 3, 3],
  "model.diffusion_model.input_blocks.0.0.weight": [320, 4, 3, 3],
  "model.diffusion_model.middle_block.0.in_layers.2.weight": [512, 512, 3, 3],
  "model.diffusion_model.out.2.weight": [4, 320, 3, 3],
};

/** Of what is no SD1.5 checkpoint, one or two tensors that tell what it is. */
const telling: Record<"sdxl" | "lora" | "controlnet" | "vae", Tensors> = {
  sdxl: {
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": [768],
    "model.diffusion_model.input_blocks.0.0.weight": [320, 4, 3, 3],
  },
  lora: { "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight": [4, 1280] },
  controlnet: { "control_model.input_hint_block.0.weight": [16, 3, 3, 3] },
  vae: { "decoder.conv_out.weight": [3, 128, 3, 3] },
};

/** A small, valid safetensors file (F16), whose metadata says what it is. */
export function safetensors(seed: string, kind?: keyof typeof telling, metadata: Record<string, string> = {}): Buffer {
  const header: Record<string, unknown> = {
    __metadata__: { format: "pt", ...metadata, rehearsal: `REHEARSAL: a stand-in for ${seed}, not a model` },
  };
  let offset = 0;
  for (const [name, shape] of Object.entries(kind ? telling[kind] : tensors)) {
    const bytes = 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "F16", shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const text = JSON.stringify(header);
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([length, head, noise(seed, offset)]);
}

/** A small .ckpt as torch writes them: a stored zip with a pickle (an empty dict here) and raw data. */
export function ckpt(seed: string): Buffer {
  return storedZip({
    // PROTO 2, EMPTY_DICT, STOP
    "archive/data.pkl": Buffer.from([0x80, 2, 0x7d, 0x2e]),
    "archive/REHEARSAL": Buffer.from(`REHEARSAL: a stand-in for ${seed}, not a model\n`),
    "archive/data/0": noise(seed, 2 << 20),
    "archive/version": Buffer.from("3\n"),
  });
}

/** A zip without compression and without times. */
function storedZip(files: Record<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0); // version
    common.writeUInt16LE(0x21, 8); // 1980-01-01
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(content.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), content]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, place, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
