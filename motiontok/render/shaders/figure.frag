#version 330 core
in vec3 world;
in vec3 facing;
in vec3 albedo;

uniform vec3 cam_pos;
uniform vec3 key, fill, rim;
uniform vec3 key_color, fill_color, rim_color;
uniform vec3 ambient_ground, ambient_sky;
uniform float opacity;
uniform mat4 light_matrix;
uniform sampler2DShadow shadow_map;

out vec4 frag_color;

float lit(vec3 n)
{
    vec3 p = (light_matrix * vec4(world + 0.012 * n, 1.0)).xyz * 0.5 + 0.5;
    float z = p.z - 0.0008;
#ifdef SMOOTH_SHADOWS
    vec2 t = 0.9 / vec2(textureSize(shadow_map, 0));
    return 0.25 * (texture(shadow_map, vec3(p.xy - t, z))
                 + texture(shadow_map, vec3(p.xy + t, z))
                 + texture(shadow_map, vec3(p.xy + vec2(t.x, -t.y), z))
                 + texture(shadow_map, vec3(p.xy + vec2(-t.x, t.y), z)));
#else
    return texture(shadow_map, vec3(p.xy, z));
#endif
}

void main()
{
    vec3 n = normalize(facing);
    vec3 v = normalize(cam_pos - world);
    float sun = max(dot(n, key), 0.0);
    if (sun > 0.0) sun *= lit(n);
    vec3 light = mix(ambient_ground, ambient_sky, 0.5 + 0.5 * n.z)
               + key_color * sun
               + fill_color * max(dot(n, fill), 0.0);
    float edge = 1.0 - max(dot(n, v), 0.0);
    vec3 color = albedo * light + rim_color * (edge * edge * edge * max(dot(n, rim), 0.0));
    // A broad, faint highlight: painted plastic rather than chalk.
    float h = max(dot(n, normalize(v + key)), 0.0);
    h *= h; h *= h; h *= h; h *= h;
    color += vec3(0.07 * h * sun);
    frag_color = vec4(sqrt(clamp(color, 0.0, 1.0)), opacity);
}
