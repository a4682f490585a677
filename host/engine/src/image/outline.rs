//! The top level of a component, read without judging it.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind, ComponentTypeRef,
    ExternalKind, Instance, Parser, Payload,
};

/// An index of the format as one of a list.
pub(super) fn index(of: u32) -> Option<usize> {
    usize::try_from(of).ok()
}

/// A core function of the top level, as far as it matters.
pub(super) enum CoreFunction<'a> {
    Export { instance: u32, name: &'a str },
    Lowered(Lowered),
    Other,
}

#[derive(Clone)]
pub(super) struct Lowered {
    pub(super) function: u32,
    pub(super) options: Box<[CanonicalOption]>,
}

/// The top level of a component.
#[derive(Default)]
pub(super) struct Outline<'a> {
    /// Its core modules; the last is empty if it is imported.
    pub(super) modules: Vec<&'a [u8]>,
    pub(super) core_types: u32,
    pub(super) core_functions: Vec<CoreFunction<'a>>,
    /// Of which instance, under which name; none for what is made here.
    pub(super) functions: Vec<Option<(u32, &'a str)>>,
    pub(super) instances: Vec<Instance<'a>>,
    pub(super) memories: Vec<(u32, &'a str)>,
    pub(super) tables: Vec<(u32, &'a str)>,
}

impl<'a> Outline<'a> {
    /// None if it has another structure than the tools give components.
    pub(super) fn of(component: &'a [u8]) -> Option<Self> {
        let mut outline = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.ok()? {
                Payload::ModuleSection {
                    unchecked_range, ..
                } => {
                    if depth > 0 {
                        return None;
                    }
                    outline.modules.push(component.get(unchecked_range)?);
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                Payload::CoreTypeSection(types) => {
                    outline.core_types = outline.core_types.checked_add(types.count())?;
                }
                Payload::InstanceSection(instances) => {
                    for instance in instances {
                        outline.instances.push(instance.ok()?);
                    }
                }
                Payload::ComponentAliasSection(aliases) => {
                    for alias in aliases {
                        outline.alias(alias.ok()?)?;
                    }
                }
                Payload::ComponentCanonicalSection(functions) => {
                    for function in functions {
                        outline.canonical(function.ok()?);
                    }
                }
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        match import.ok()?.ty {
                            ComponentTypeRef::Instance(_) | ComponentTypeRef::Type(_) => {}
                            // What is each one's own: the last module.
                            ComponentTypeRef::Module(_) => outline.modules.push(&[]),
                            _ => return None,
                        }
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        match export.ok()?.kind {
                            ComponentExternalKind::Instance | ComponentExternalKind::Type => {}
                            _ => return None,
                        }
                    }
                }
                _ => {}
            }
        }
        Some(outline)
    }

    fn alias(&mut self, alias: ComponentAlias<'a>) -> Option<()> {
        match alias {
            ComponentAlias::InstanceExport {
                kind,
                instance_index,
                name,
            } => match kind {
                ComponentExternalKind::Func => self.functions.push(Some((instance_index, name))),
                ComponentExternalKind::Type => {}
                _ => return None,
            },
            ComponentAlias::CoreInstanceExport {
                kind,
                instance_index: instance,
                name,
            } => match kind {
                ExternalKind::Func => {
                    let export = CoreFunction::Export { instance, name };
                    self.core_functions.push(export);
                }
                ExternalKind::Memory => self.memories.push((instance, name)),
                ExternalKind::Table => self.tables.push((instance, name)),
                _ => return None,
            },
            ComponentAlias::Outer { .. } => return None,
        }
        Some(())
    }

    fn canonical(&mut self, function: CanonicalFunction) {
        match function {
            CanonicalFunction::Lift { .. } => self.functions.push(None),
            CanonicalFunction::Lower {
                func_index,
                options,
            } => self.core_functions.push(CoreFunction::Lowered(Lowered {
                function: func_index,
                options,
            })),
            _ => self.core_functions.push(CoreFunction::Other),
        }
    }
}
