import { isMap, type PropertyMap, type PropertyValue } from "../../../values.ts";
import { flag, labelsOf, number, object, objects, text, textMap } from "../plain.ts";

interface Mount {
  Type: string;
  Target: string;
  Source?: string;
  ReadOnly?: boolean;
  BindOptions?: { Propagation?: string };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    Subpath?: string;
    DriverConfig?: { Name?: string; Options?: Record<string, string> };
  };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** `volumes` as the engine wants them. @throws for an entry that names no place */
export function volumes(inputs: PropertyMap): {
  anonymous?: Record<string, object>;
  binds?: string[];
  from?: string[];
} {
  const anonymous: Record<string, object> = {};
  const binds: string[] = [];
  const from: string[] = [];
  for (const volume of objects(inputs, "volumes")) {
    const [container, path] = [text(volume, "fromContainer"), text(volume, "containerPath")];
    const source = text(volume, "hostPath") || text(volume, "volumeName");
    if ((container === "") === (path === "")) {
      throw new Error("an entry of volumes must have either a containerPath or a fromContainer");
    }
    if (container !== "") from.push(container);
    else if (source === "") anonymous[path] = {};
    else {
      anonymous[path] = {};
      const relabel = text(volume, "selinuxRelabel");
      binds.push(`${source}:${path}:${flag(volume, "readOnly") ? "ro" : "rw"}${relabel === "" ? "" : `,${relabel}`}`);
    }
  }
  return {
    ...(Object.keys(anonymous).length > 0 && { anonymous }),
    ...(binds.length > 0 && { binds }),
    ...(from.length > 0 && { from }),
  };
}

/** `mounts` as the engine wants them. */
export function mounts(inputs: PropertyMap): Mount[] | undefined {
  const list = objects(inputs, "mounts").map(mount);
  return list.length > 0 ? list : undefined;
}

function mount(given: PropertyMap): Mount {
  const type = text(given, "type");
  const [bind, volume, tmpfs] = [
    object(given, "bindOptions"),
    object(given, "volumeOptions"),
    object(given, "tmpfsOptions"),
  ];
  const foreign = Object.entries({ bind, volume, tmpfs }).find(
    ([kind, options]) => options !== undefined && kind !== type,
  );
  if (foreign !== undefined)
    throw new Error(`the mount of ${text(given, "target")} is of type ${type}, but has ${foreign[0]}Options`);
  return {
    Type: type,
    Target: text(given, "target"),
    Source: text(given, "source") || undefined,
    ReadOnly: flag(given, "readOnly"),
    ...(bind && { BindOptions: { Propagation: text(bind, "propagation") || undefined } }),
    ...(volume && { VolumeOptions: volumeOptions(volume) }),
    ...(tmpfs && {
      TmpfsOptions: { SizeBytes: number(tmpfs, "sizeBytes") || undefined, Mode: number(tmpfs, "mode") || undefined },
    }),
  };
}

function volumeOptions(options: PropertyMap): NonNullable<Mount["VolumeOptions"]> {
  const [name, driverOptions] = [text(options, "driverName"), textMap(options, "driverOptions")];
  return {
    NoCopy: flag(options, "noCopy"),
    Labels: labelsOf(options),
    Subpath: text(options, "subpath") || undefined,
    ...((name !== "" || driverOptions) && { DriverConfig: { Name: name || undefined, Options: driverOptions } }),
  };
}

/** The engine's mounts as the state has them. */
export function mountOutputs(seen: Mount[] | null | undefined): PropertyValue[] {
  return (seen ?? []).map((item) => ({
    target: item.Target,
    source: item.Source ?? "",
    type: item.Type,
    readOnly: item.ReadOnly || null,
    bindOptions: item.BindOptions ? { propagation: item.BindOptions.Propagation ?? "" } : null,
    volumeOptions: item.VolumeOptions ? volumeOutputs(item.VolumeOptions) : null,
    tmpfsOptions: item.TmpfsOptions
      ? { sizeBytes: item.TmpfsOptions.SizeBytes ?? 0, mode: item.TmpfsOptions.Mode ?? 0 }
      : null,
  }));
}

function volumeOutputs(options: NonNullable<Mount["VolumeOptions"]>): PropertyMap {
  const labels = Object.entries(options.Labels ?? {}).map(([label, value]) => ({ label, value }));
  const driverOptions: PropertyValue = { ...options.DriverConfig?.Options };
  return {
    noCopy: options.NoCopy ?? false,
    labels,
    driverName: options.DriverConfig?.Name ?? "",
    driverOptions: isMap(driverOptions) && Object.keys(driverOptions).length > 0 ? driverOptions : null,
    subpath: options.Subpath ?? "",
  };
}
