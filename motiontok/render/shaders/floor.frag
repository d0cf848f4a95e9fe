#version 330 core
in vec3 world;

uniform vec3 focus;
uniform float reach;
uniform vec3 background;
uniform float shadow_depth;
uniform vec4 shadow_area;
uniform mat4 light_matrix;
uniform sampler2DShadow shadow_map;

out vec4 frag_color;

// Box-filtered lines of a unit grid: no moire towards the horizon.
float lines(vec2 p, vec2 width, float thickness)
{
    vec2 w = max(width, vec2(1e-4)) + thickness;
    vec2 a = p + 0.5 * w, b = p - 0.5 * w;
    vec2 i = (floor(a) + min(fract(a) / thickness, 1.0)
            - floor(b) - min(fract(b) / thickness, 1.0)) * thickness / w;
    return 1.0 - (1.0 - i.x) * (1.0 - i.y);
}

void main()
{
    float away = distance(world.xy, focus.xy) / reach;
    float fade = clamp(1.0 - away * away, 0.0, 1.0);
    vec2 width = fwidth(world.xy);
    vec2 cell = floor(world.xy);
    vec3 color = background * mix(0.985, 0.955, mod(cell.x + cell.y, 2.0) * clamp(1.0 - 1.5 * max(width.x, width.y), 0.0, 1.0));
    color *= 1.0 - 0.16 * lines(world.xy, width, 0.012);
    color *= 1.0 - 0.06 * lines(world.xy * 2.0, width * 2.0, 0.014);
    if (world.x > shadow_area.x && world.x < shadow_area.z && world.y > shadow_area.y && world.y < shadow_area.w) {
        vec3 p = (light_matrix * vec4(world, 1.0)).xyz * 0.5 + 0.5;
        vec2 t = 0.8 / vec2(textureSize(shadow_map, 0));
        float z = p.z - 0.0006;
        float sun = texture(shadow_map, vec3(p.xy - t, z))
                  + texture(shadow_map, vec3(p.xy + t, z))
                  + texture(shadow_map, vec3(p.xy + vec2(t.x, -t.y), z))
                  + texture(shadow_map, vec3(p.xy + vec2(-t.x, t.y), z));
        color *= mix(shadow_depth, 1.0, 0.25 * sun);
    }
    frag_color = vec4(sqrt(mix(background, color, fade)), 1.0);
}
